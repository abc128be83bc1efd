"""torch's threads: as many as the encoder is given while it encodes, and one for everything else.

What the learner computes is too small to be shared out: two threads cost it a third more processor time.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stream_adapter.encode.base import Encoder, Prepared, Vectors


def with_threads(encoder: Encoder, threads: int | None) -> Encoder:
    """The encoder with so many threads; None: as many as torch would take. One that loaded no torch stays as it is."""
    torch = sys.modules.get("torch")
    return encoder if torch is None else Threaded(encoder, threads or torch.get_num_threads(), torch)


class Threaded:
    """An encoder with threads of its own; see `Encoder`.

    Args:
        encoder: any.
        threads: while it encodes.
        torch: the module.
    """

    def __init__(self, encoder: Encoder, threads: int, torch: Any) -> None:
        self._encoder = encoder
        self._threads = threads
        self._torch = torch
        self.d, self.fingerprint = encoder.d, encoder.fingerprint
        self.prepare, self.check_vector = encoder.prepare, encoder.check_vector
        self._torch.set_num_threads(1)

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        """See `Encoder.encode`."""
        with self._own_threads():
            return self._encoder.encode(prepared)

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
