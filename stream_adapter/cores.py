"""How the threads of one process share the cores; loads nothing."""

import os
import sys

_SWITCH_S = 0.0005


def share_cores() -> None:
    """Let no thread keep others from working that only waits; to be called before NumPy and torch are loaded.

    The encoder, the learner, Kafka's clients and what runs in the background share the cores. OpenMP's threads spin
    while they wait, and so do OpenBLAS's, which NumPy brings, between products that are too small for two of them
    anyway. And whoever computes in Python keeps the interpreter for 5 ms before another thread is let in: an encoder
    has dozens of steps a batch, after each of which it asks.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.setswitchinterval(_SWITCH_S)
