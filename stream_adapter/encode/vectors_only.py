"""An encoder for events that bring their vectors: no model, and no torch."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from stream_adapter.config import EncoderConfig, Section
from stream_adapter.encode.base import Pixels, Prepared, Vectors, check_vector
from stream_adapter.errors import EncoderError, UndecodableImage

FINGERPRINT = "vectors"
"""Of vectors that come from one encoder, whichever that is: `evaluate`'s, and those of tests."""


class VectorsOnly:
    """An encoder for streams of vectors.

    Args:
        d: length of the vectors.
        fingerprint: of the encoder that makes them elsewhere.
    """

    def __init__(self, d: int, fingerprint: str = FINGERPRINT) -> None:
        self.d = d
        self.fingerprint = fingerprint

    def prepare(self, data: bytes, content_type: str) -> Pixels:
        """Refuses what is no vector."""
        raise UndecodableImage(f"only vectors are read here (`encoder.type: vectors`), found {content_type!r}")

    def check_vector(self, data: bytes, fingerprint: str | None) -> Vectors:
        """See `Encoder`."""
        return check_vector(data, fingerprint, d=self.d, expected=self.fingerprint)

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        """See `Encoder`."""
        return np.stack(prepared).astype(np.float32) if prepared else np.zeros((0, self.d), np.float32)

    def warm_up(self, batch: int = 8) -> None:
        """There is nothing to warm up."""


class VectorsModel:
    """What `encoder.type: vectors` is, see `Model`: pictures are embedded, and class vectors made, elsewhere."""

    class Settings(Section):
        """The keys of `encoder.options`.

        Attributes:
            d: length of the vectors.
            fingerprint: what events name as the encoder of their vectors (`ce_fingerprint`).
            logit_scale: τ, where the vocabulary's file does not say.
        """

        d: Annotated[int, Field(ge=1, le=65_536)]
        fingerprint: Annotated[str, Field(min_length=1)]
        logit_scale: Annotated[float, Field(ge=1e-3, le=1_000.0)] = 100.0

    def __init__(self, config: EncoderConfig, *, text: bool) -> None:
        self._settings: VectorsModel.Settings = config.options
        self.logit_scale = self._settings.logit_scale

    def class_vectors(self, prompts: Sequence[Sequence[str]]) -> Vectors:
        """There is no text tower.

        Raises:
            EncoderError: always.
        """
        raise EncoderError(
            "the encoder `vectors` cannot embed the names of classes; set `vocabulary.vectors` to a file of theirs"
        )

    def encoder(self) -> VectorsOnly:
        """See `Model.encoder`."""
        return VectorsOnly(self._settings.d, self._settings.fingerprint)
