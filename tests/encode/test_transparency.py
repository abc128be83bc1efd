"""Transparent pictures on white, as a person sees them."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.encode.test_images import assert_as_open_clip, decoder
from tests.picture_files import encoded, soft_shapes

HIDDEN = (255, 0, 255)


def on_transparent_ground(mode: str) -> Image.Image:
    """A soft square on a transparent ground of a loud colour that nobody sees."""
    image = Image.new("RGBA", (300, 300), (*HIDDEN, 0))
    image.paste(soft_shapes(100, 100), (100, 100))
    if mode == "LA":
        return image.convert("LA")
    return image.quantize(64) if mode == "P" else image


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGBA"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("WEBP", "RGBA"),
        ("GIF", "RGBA"),
        ("TIFF", "RGBA"),
        ("AVIF", "RGBA"),
    ],
)
def test_a_transparent_ground_is_white_whatever_colour_hides_there(kind: str, mode: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(on_transparent_ground(mode), kind, **options)
    assert Image.open(io.BytesIO(data)).has_transparency_data
    ours = decoder()(data)
    assert ours[:, :60].min() >= 254
    assert ours[:, 100:124, 100:124].min() < 200
    assert_as_open_clip(data)


@pytest.mark.parametrize(("mode", "key"), [("RGB", HIDDEN), ("L", 7), ("1", 0)])
def test_one_colour_of_a_png_may_be_the_transparent_one(mode: str, key: int | tuple[int, int, int]) -> None:
    image = Image.new(mode, (300, 300), key)
    image.paste(255 if mode != "RGB" else (0, 90, 0), (100, 100, 200, 200))
    data = encoded(image, "PNG", transparency=key)
    assert decoder()(data)[:, :60].min() == 255
    assert_as_open_clip(data)


def test_half_transparent_is_half_white() -> None:
    data = encoded(Image.new("RGBA", (300, 300), (0, 0, 0, 128)), "PNG")
    assert np.unique(decoder()(data)).tolist() == [127]


def test_what_a_gifs_first_frame_leaves_out_is_white() -> None:
    frame = Image.new("P", (40, 40))
    frame.putpalette([255, 0, 0] * 256)
    data = bytearray(encoded(frame, "GIF"))
    data[6:10] = (100).to_bytes(2, "little") * 2  # the canvas is larger than the frame
    ours = decoder()(bytes(data))
    assert ours[:, 10, 10].tolist() == [255, 0, 0]
    assert ours[:, 200, 200].tolist() == [255, 255, 255]
