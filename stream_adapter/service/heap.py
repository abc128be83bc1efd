"""Memory: what was freed goes back to the system, and what stays is not looked through again and again."""

import contextlib
import ctypes
import gc
import threading
import time
from collections.abc import Iterator

_EVERY_S = 20.0
_M_ARENA_MAX = -8  # of mallopt(3)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Look for no cycles meanwhile: where a million objects are made that stay, that takes a third of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    """Look for no cycles in what is there now; for a process that does nothing else.

    All that libraries and the model are made of would be looked through every few seconds or minutes, which takes up to
    a third of a second, in which nobody is answered. None of it ever goes.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()  # or libraries that look for leaks at the end find all of it


def keep_heap_small() -> None:
    """Let glibc keep one heap, and give back every 20 s what lies free between what is used; elsewhere do nothing.

    To be called before threads are started: each of them would get a heap, with gaps that no other thread fills.
    Pictures, batches and snapshots are buffers of many sizes. Freed ones leave gaps, which glibc keeps for good where
    anything above them is in use: 1.3 GB were seen where 0.4 are held (benchmarks/flat.py). Giving them back takes 3 to
    50 ms (`malloc_trim(3)`); to map large buffers one by one, which needs no giving back, would make the encoder 9 %
    slower.
    """
    libc = ctypes.CDLL(None)
    trim = getattr(libc, "malloc_trim", None)
    if trim is not None:
        libc.mallopt(_M_ARENA_MAX, 1)
        threading.Thread(target=_repeat, args=(trim,), name="heap", daemon=True).start()


def _repeat(trim: "ctypes._NamedFuncPointer") -> None:
    while True:
        time.sleep(_EVERY_S)
        trim(0)
