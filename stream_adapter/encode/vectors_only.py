"""An encoder for events that bring their vectors: no model, and no torch."""

from collections.abc import Sequence

import numpy as np

from stream_adapter.encode.base import Pixels, Prepared, Vectors, check_vector
from stream_adapter.errors import UndecodableImage


class VectorsOnly:
    """An encoder for streams of vectors.

    Args:
        d: length of the vectors.
    """

    fingerprint = "evaluate"

    def __init__(self, d: int) -> None:
        self.d = d

    def prepare(self, data: bytes, content_type: str) -> Pixels:
        """Refuses what is no vector."""
        raise UndecodableImage(f"only vectors are read here, found {content_type!r}")

    def check_vector(self, data: bytes, fingerprint: str | None) -> Vectors:
        """See `Encoder`."""
        return check_vector(data, fingerprint, d=self.d, expected=self.fingerprint)

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        """See `Encoder`."""
        return np.stack(prepared).astype(np.float32) if prepared else np.zeros((0, self.d), np.float32)

    def warm_up(self, batch: int = 8) -> None:
        """There is nothing to warm up."""
