"""Pictures of a shop's shelves with their real CLIP vectors, and an encoder that looks these up: no model is loaded.

Pictures and products are the Grocery Store Dataset's (Klasson, Zhang, Kjellström, 2019; MIT), the vectors those of
OpenAI's ViT-B/16; `groceries.md` says more.
"""

import functools
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.config import EncoderConfig, Section
from stream_adapter.encode.base import Pixels, Prepared, Vectors, check_vector
from stream_adapter.errors import EncoderError, UndecodableImage

FILE = Path(__file__).with_name("groceries.npz")
FINGERPRINT = "groceries-vit-b-16"
OPENING, WRONG, AFTER = 24, 6, 12
"""The first pictures: of all kinds; vegetables that CLIP takes for something else, the last of them labelled; more."""


class Groceries(NamedTuple):
    """n pictures in the order of the demo's stream.

    Attributes:
        vectors: float32 (n, 512), unit.
        text_vectors: float32 (C, 512), unit.
    """

    jpegs: Sequence[bytes]
    vectors: NDArray[np.float32]
    labels: Sequence[str]
    products: Sequence[str]
    class_names: Sequence[str]
    text_vectors: NDArray[np.float32]


def opening_part(place: int) -> str:
    """What the picture at this place of the stream is for: "wrong" and "after" a label, of the opening; or nothing."""
    if OPENING <= place < OPENING + WRONG:
        return "wrong"
    return "after" if OPENING + WRONG <= place < OPENING + WRONG + AFTER else ""


@functools.cache
def groceries() -> Groceries:
    """All of it, read once."""
    with np.load(FILE, allow_pickle=False) as file:
        ends = np.cumsum(file["lengths"]).tolist()
        joined, names = file["jpegs"].tobytes(), file["class_names"].tolist()
        jpegs = [joined[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
        vectors, texts = (_unit(file[name]) for name in ("vectors", "text_vectors"))
        labels = [names[index] for index in file["labels"].tolist()]
        return Groceries(jpegs, vectors, labels, file["products"].tolist(), names, texts)


def _unit(halves: NDArray[np.float16]) -> NDArray[np.float32]:
    wide = halves.astype(np.float64)
    unit: NDArray[np.float32] = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return unit


class GroceriesEncoder:
    """An `Encoder` of these pictures alone."""

    d = 512
    fingerprint = FINGERPRINT

    def __init__(self) -> None:
        self._rows = {_digest(jpeg): row for row, jpeg in enumerate(groceries().jpegs)}
        self._decoded: dict[bytes, int] = {}  # of what `prepare` gave

    def prepare(self, data: bytes, content_type: str) -> Pixels:
        """Decode one of the pictures; see `Encoder.prepare`."""
        from PIL import Image

        row = self._rows.get(_digest(data))
        if row is None:
            raise UndecodableImage("the encoder `groceries` knows the demo's own pictures and no others")
        pixels = np.ascontiguousarray(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1))
        self._decoded[_digest(pixels.tobytes())] = row
        return pixels

    def check_vector(self, data: bytes, fingerprint: str | None) -> Vectors:
        """See `Encoder.check_vector`."""
        return check_vector(data, fingerprint, d=self.d, expected=self.fingerprint)

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        """See `Encoder.encode`."""
        vectors, known = np.empty((len(prepared), self.d), np.float32), groceries().vectors
        for row, one in enumerate(prepared):
            vectors[row] = one if one.ndim == 1 else known[self._decoded[_digest(one.tobytes())]]
        return vectors

    def warm_up(self, batch: int = 8) -> None:
        """Nothing gets warm."""


class GroceriesModel:
    """What `encoder.type: groceries` is, see `Model`; class vectors are those of the names in its vocabulary."""

    class Settings(Section):
        """There is nothing to set."""

    logit_scale: ClassVar[float] = 100.0

    def __init__(self, config: EncoderConfig, *, text: bool) -> None:
        pass

    def class_vectors(self, prompts: Sequence[Sequence[str]]) -> Vectors:
        """See `Model.class_vectors`; a class's only prompt is its name."""
        rows = {name: row for row, name in enumerate(groceries().class_names)}
        strange = [texts[0] for texts in prompts if texts[0] not in rows]
        if strange:
            raise EncoderError(f"the encoder `groceries` has no text vector for {', '.join(map(repr, strange[:5]))}")
        return groceries().text_vectors[[rows[texts[0]] for texts in prompts]]

    def encoder(self) -> GroceriesEncoder:
        """See `Model.encoder`."""
        return GroceriesEncoder()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
