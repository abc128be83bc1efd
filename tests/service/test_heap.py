"""What a worker freed does not stay with it."""

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
