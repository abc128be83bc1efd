"""What a worker freed does not stay with it."""

import gc
import platform
import subprocess
import sys
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
    heap.keep_heap_small()
    deadline = time.monotonic() + 30.0
    while resident_bytes() > full - SIZE * NUMBER / 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert resident_bytes() <= full - SIZE * NUMBER / 2
    assert len(kept) == NUMBER / 40


_THREADS = """
import ctypes, sys, threading
from stream_adapter.service.heap import keep_heap_small
if sys.argv[1] == "small":
    keep_heap_small()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p
libc.malloc_info.argtypes, libc.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
threads = [threading.Thread(target=libc.malloc, args=(1_000,)) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
file = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the heaps are glibc's")
def test_all_threads_share_one_heap() -> None:
    def heaps(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", _THREADS, how], capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr=")

    assert heaps("small") == 1 < heaps("as it is")


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
