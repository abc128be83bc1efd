"""The seam between the processor and whatever embeds: the `Encoder` protocol, and the check of foreign vectors."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from stream_adapter.errors import ForeignVector

Pixels = NDArray[np.uint8]
"""A decoded picture at the model's size, uint8 (3, H, W), not yet normalised."""

Vectors = NDArray[np.float32]
"""Unit vectors, float32, (B, d) or (d,)."""

Prepared = Pixels | Vectors
"""What waits for `Encoder.encode`: pixels (3, H, W), or a vector (d,) that arrived as one."""

# A vector that went through float16 or a JSON text is still within 1e-3 of unit length; one that was never
# normalised is not.
UNIT_TOLERANCE = 1e-3


class Encoder(Protocol):
    """Turns the payload of an event into a unit vector, in two steps: `prepare` in a pool, `encode` in batches."""

    @property
    def d(self) -> int:
        """Length of the vectors."""

    @property
    def fingerprint(self) -> str:
        """Names the encoder: two encoders with the same fingerprint put a picture at the same place."""

    def prepare(self, data: bytes, content_type: str) -> Pixels:
        """Decode one picture to the model's size; called from many threads at once.

        Args:
            data: the file's bytes, which alone decide what it is.
            content_type: what the event says they are, for messages.

        Returns:
            uint8 (3, H, W).

        Raises:
            UndecodableImage: the bytes are not a picture that may be decoded; the message says why, with figures.
        """

    def check_vector(self, data: bytes, fingerprint: str | None) -> Vectors:
        """Read a vector that arrived in place of a picture; see `check_vector` below.

        Returns:
            float32 (d,), unit length.

        Raises:
            ForeignVector: it is another encoder's, of the wrong length, not finite or not a unit vector.
        """

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        """Embed a batch; vectors among the pictures pass through.

        Args:
            prepared: B results of `prepare` and `check_vector`, in any mixture; B may be 0.

        Returns:
            float32 (B, d), unit length, in the order given.
        """

    def warm_up(self, batch: int = 8) -> None:
        """Run once at this batch size, so that the first event is not the slow one."""


class Model(Protocol):
    """What is registered as an encoder (`encoder.type`): a model that turns pictures, and class names, into vectors.

    It is made as `model(config, text=…)` with the section `encoder` of the configuration, whose `options` are an
    instance of `Settings`, and raises an `EncoderError` where it cannot be loaded. Without `text` nobody will ask for
    class vectors.

    Attributes:
        Settings: the keys that `encoder.options` takes, as a pydantic model (`stream_adapter.config.Section` refuses
            unknown ones).
    """

    Settings: ClassVar[type[BaseModel]]

    @property
    def logit_scale(self) -> float:
        """τ, by which cosines of pictures and texts are multiplied to make logits; 100 where it is not known."""

    def class_vectors(self, prompts: Sequence[Sequence[str]]) -> Vectors:
        """One vector a class.

        Args:
            prompts: for each of C classes at least one text.

        Returns:
            float32 (C, d), unit length.

        Raises:
            EncoderError: it cannot embed texts; the classes must come from a file then (`vocabulary.vectors`).
        """

    def encoder(self) -> Encoder:
        """What embeds pictures; asked for once, after the class vectors."""


def unit_vectors(data: Sequence[bytes], d: int) -> tuple[Vectors, NDArray[np.bool_]]:
    """Read many payloads of 4 · d bytes at once, as `check_vector` reads one.

    Returns:
        float32 (B, d), renormalised, and bool (B,), which of them are finite and of unit length.
    """
    vectors = np.frombuffer(b"".join(data), dtype="<f4").reshape(-1, d)
    norms = np.sqrt(np.einsum("bd,bd->b", vectors, vectors, dtype=np.float64))  # (B,)
    good = np.abs(norms - 1.0) <= UNIT_TOLERANCE
    with np.errstate(all="ignore"):
        return (vectors / norms.astype(np.float32)[:, None]).astype(np.float32, copy=False), good


def check_vector(data: bytes, fingerprint: str | None, *, d: int, expected: str) -> Vectors:
    """Read the payload of an `application/x-embedding` event: d little-endian float32, unit length.

    Args:
        data: the payload.
        fingerprint: the encoder that the event names.
        d: length of the vectors of the encoder in use.
        expected: fingerprint of the encoder in use.

    Returns:
        float32 (d,), renormalised.

    Raises:
        ForeignVector: it is another encoder's, of the wrong length, not finite, or its length is off by more than
            `UNIT_TOLERANCE`.
    """
    if fingerprint != expected:
        raise ForeignVector(
            f"the vector was made by encoder {fingerprint!r}, this worker runs {expected!r}; vectors of two encoders "
            "cannot be compared, send one of this worker's encoder, or the picture"
        )
    if len(data) != 4 * d:
        raise ForeignVector(
            f"the vector has {len(data)} bytes; expected {4 * d}, {d} little-endian float32 values of 4 bytes"
        )
    vector = np.frombuffer(data, dtype="<f4")  # (d,)
    finite = np.isfinite(vector)
    if not finite.all():
        first = int(np.argmin(finite))
        raise ForeignVector(f"{d - int(finite.sum())} of {d} values are not finite, the first at {first}")
    norm = float(np.linalg.norm(vector.astype(np.float64)))  # the square of a large float32 overflows
    if abs(norm - 1.0) > UNIT_TOLERANCE:
        raise ForeignVector(f"the vector has length {norm:.6g}, expected 1 ± {UNIT_TOLERANCE:g}; normalise it first")
    return (vector / norm).astype(np.float32)
