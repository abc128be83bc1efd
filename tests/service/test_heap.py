"""What a worker freed does not stay with it."""

import gc
import time
from pathlib import Path

import pytest

from stream_adapter.service import heap

SIZE, NUMBER = 3_000, 50_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_gaps_between_what_is_used_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_EVERY_S", 0.5)
    buffers = [bytes(SIZE) for _ in range(NUMBER)]
    kept = buffers[::40]
    del buffers
    full = resident_bytes()
    heap.return_freed_memory()
    deadline = time.monotonic() + 30.0
    while resident_bytes() > full - SIZE * NUMBER / 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert resident_bytes() <= full - SIZE * NUMBER / 2
    assert len(kept) == NUMBER / 40


@pytest.mark.parametrize("collects", [True, False])
def test_no_cycles_are_looked_for_meanwhile_and_afterwards_as_before(collects: bool) -> None:
    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(ValueError, match="whatever"), heap.uncollected():
            assert not gc.isenabled()
            raise ValueError("whatever")
        assert gc.isenabled() == collects
    finally:
        gc.enable()


def test_what_is_there_is_not_looked_through_meanwhile() -> None:
    with pytest.raises(ValueError, match="whatever"), heap.frozen():
        assert gc.get_freeze_count() > 10_000
        raise ValueError("whatever")
    assert gc.get_freeze_count() == 0
