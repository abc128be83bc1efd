"""An encoder that knows colours and nothing else: a picture is its four corners, a class the colour of its name."""

import hashlib
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from stream_adapter.config import EncoderConfig, Section
from stream_adapter.encode.base import Pixels, Prepared, Vectors, check_vector
from stream_adapter.errors import EncoderError, UndecodableImage


class ColourSettings(Section):
    """The keys of `encoder.options`."""

    colours: dict[str, tuple[int, int, int]]


class ColourModel:
    """What `encoder.type: colours` is."""

    Settings = ColourSettings

    def __init__(self, config: EncoderConfig, *, text: bool) -> None:
        self._colours: dict[str, tuple[int, int, int]] = config.options.colours
        self._max_pixels = config.max_pixels

    @property
    def logit_scale(self) -> float:
        return 10.0

    def class_vectors(self, prompts: Sequence[Sequence[str]]) -> Vectors:
        unknown = [texts[0] for texts in prompts if texts[0] not in self._colours]
        if unknown:
            raise EncoderError(f"`encoder.options.colours` has no {', '.join(map(repr, unknown))}")
        colours = np.array([self._colours[texts[0]] for texts in prompts], np.uint8)  # (C, 3)
        return _unit(np.repeat(colours, 4, axis=1))  # as pixels are: all reds, all greens, all blues

    def encoder(self) -> "ColourEncoder":
        return ColourEncoder(self._max_pixels)


class ColourEncoder:
    """See `stream_adapter.encode.base.Encoder`."""

    d = 12
    fingerprint = hashlib.sha256(b"example-plugin colours 1").hexdigest()[:16]

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels

    def prepare(self, data: bytes, content_type: str) -> Pixels:
        try:
            with Image.open(io.BytesIO(data)) as picture:
                if picture.width * picture.height > self._max_pixels:
                    raise UndecodableImage(f"{picture.width} × {picture.height} pixels are too many")
                small = picture.convert("RGB").resize((2, 2), Image.Resampling.BOX)
        except (OSError, ValueError) as error:
            raise UndecodableImage(f"not a picture: {error}") from error
        return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))  # (3, 2, 2)

    def check_vector(self, data: bytes, fingerprint: str | None) -> Vectors:
        return check_vector(data, fingerprint, d=self.d, expected=self.fingerprint)

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        rows = [item if item.ndim == 1 else _unit(item.reshape(1, -1))[0] for item in prepared]
        return np.array(rows, np.float32).reshape(-1, self.d)

    def warm_up(self, batch: int = 8) -> None:
        """Nothing is slow the first time."""


def _unit(bytes_: np.ndarray) -> Vectors:
    """Rows of uint8 as unit vectors; black is opposite to white."""
    centred = bytes_.astype(np.float32) - 127.5  # never 0
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)
