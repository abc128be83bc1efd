"""Memory that a process freed goes back to the system, so that a worker stays as large as what it holds."""

import ctypes

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1  # M_… of glibc's malloc.h
_LARGE = 1 << 20  # bytes: a batch's pictures and vectors; smaller buffers are too many to be mapped one by one


def return_freed_memory() -> None:
    """Let glibc map each large buffer by itself and share two arenas among all threads; elsewhere do nothing.

    By default each thread gets an arena, and what counts as large rises to 32 MiB with the first such buffer that is
    freed. Buffers of many sizes then leave gaps that are never given back (mallopt(3), "M_MMAP_THRESHOLD").
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, 2 * _LARGE)
