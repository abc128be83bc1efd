"""torch's threads: as many as the encoder is given while it encodes, and one for everything else.

What the learner computes is too small to be shared out: two threads cost it a third more processor time. And a tower is
a row of many small steps, which threads that share each of them wait between; so on a CPU a batch is shared out
instead, a part for each thread.
"""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from stream_adapter.encode.base import Encoder, Prepared, Vectors


def with_threads(encoder: Encoder, threads: int | None, device: str) -> Encoder:
    """The encoder with threads of its own; one that loaded no torch stays as it is.

    Args:
        encoder: any.
        threads: how many; None: as many as torch would take.
        device: as `encoder.device` has it; a GPU takes a batch as a whole.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return encoder
    in_parts = device == "cpu" or not torch.cuda.is_available()
    return Threaded(encoder, threads or torch.get_num_threads(), torch, in_parts)


class Threaded:
    """An encoder with threads of its own; see `Encoder`.

    Args:
        encoder: any.
        threads: while it encodes.
        torch: the module.
        in_parts: whether a batch is shared out among them, or each step.
    """

    def __init__(self, encoder: Encoder, threads: int, torch: Any, in_parts: bool) -> None:
        self._encoder = encoder
        self._threads = threads
        self._torch = torch
        self._others: ThreadPoolExecutor | None = None  # beside the one that asks
        if in_parts and threads > 1:
            self._others = ThreadPoolExecutor(threads - 1, "encode-part", torch.set_num_threads, (1,))
        self.d, self.fingerprint = encoder.d, encoder.fingerprint
        self.prepare, self.check_vector = encoder.prepare, encoder.check_vector
        self._torch.set_num_threads(1)

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        """See `Encoder.encode`."""
        if self._others is None or len(prepared) < 2:
            with self._own_threads():
                return self._encoder.encode(prepared)
        parts = min(self._threads, len(prepared))
        ends = [len(prepared) * part // parts for part in range(parts + 1)]
        mine, *theirs = (prepared[start:end] for start, end in pairwise(ends))
        self._torch.set_num_threads(1)  # each thread that calls has a number of its own
        under_way = [self._others.submit(self._encoder.encode, part) for part in theirs]
        try:
            first = self._encoder.encode(mine)
        finally:
            wait(under_way)
        return np.concatenate([first, *(part.result() for part in under_way)])

    def warm_up(self, batch: int = 8) -> None:
        """See `Encoder.warm_up`."""
        with self._own_threads():
            self._encoder.warm_up(batch)

    @contextmanager
    def _own_threads(self) -> Iterator[None]:
        self._torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            self._torch.set_num_threads(1)
