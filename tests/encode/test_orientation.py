"""Pictures lying on their side, against `ImageOps.exif_transpose`."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from stream_adapter.encode import jpeg
from stream_adapter.encode.loading import load_encoder
from tests.encode.test_images import assert_as_open_clip, decoder
from tests.picture_files import encoded, picture, soft_shapes
from tests.tiny_clip import write_tiny_clip

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'
XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\x00"


def exif(orientation: int) -> Image.Exif:
    written = Image.Exif()
    written[0x0112] = orientation
    return written


def upright(data: bytes) -> np.ndarray:
    return decoder(exif_orientation=False)(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(300, 401), (100, 60)])
def test_every_orientation_is_turned_upright(kind: str, orientation: int, size: tuple[int, int]) -> None:
    data = picture(kind, *size, exif=exif(orientation))
    assert_as_open_clip(data)
    if orientation > 1:
        assert np.abs(decoder()(data).astype(int) - decoder()(picture(kind, *size))).max() > 20


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_by_its_tag(orientation: int) -> None:
    image = soft_shapes(300, 401)
    data = encoded(image, "TIFF", tiffinfo={274: orientation})
    image.getexif()[0x0112] = orientation
    expected = decoder()(encoded(ImageOps.exif_transpose(image), "TIFF"))
    assert np.abs(decoder()(data).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_key_turns_it_off(kind: str) -> None:
    np.testing.assert_array_equal(upright(picture(kind, 300, 400, exif=exif(6))), upright(picture(kind, 300, 400)))


def test_what_is_seen_depends_on_the_turn_and_not_on_how_it_is_stored() -> None:
    seen = soft_shapes(300, 400)
    stored = seen.transpose(Image.Transpose.ROTATE_90)  # turned by 90 degrees clockwise it is `seen` again
    data = encoded(stored, "PNG", exif=exif(6))
    np.testing.assert_allclose(decoder()(data).astype(int), decoder()(encoded(seen, "PNG")), atol=2)


def test_a_very_large_jpeg_decoded_at_a_scale_is_turned_too() -> None:
    data = picture("JPEG", 2_700, 3_600, exif=exif(6))
    plain = picture("JPEG", 2_700, 3_600)
    np.testing.assert_allclose(decoder()(data).astype(int), np.rot90(decoder()(plain), -1, (1, 2)), atol=2)


def test_cmyk_and_pictures_without_end_marker_are_turned_too() -> None:
    assert_as_open_clip(picture("JPEG", 300, 401, "CMYK", exif=exif(8)))
    whole = picture("JPEG", 300, 401, exif=exif(8))
    np.testing.assert_array_equal(decoder()(whole[:-2]), decoder()(whole))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_xmp_counts_where_exif_is_silent(kind: str) -> None:
    options = {"xmp": XMP % 6}
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", (XMP % 6).decode())
        options = {"pnginfo": info}
    data = picture(kind, 300, 401, **options)
    assert ImageOps.exif_transpose(Image.open(io.BytesIO(data))).size == (300, 401)
    assert_as_open_clip(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "content", [b"", b"II*\x00", b"nonsense", b"II*\x00\xff\xff\xff\xff", b"MM\x00*\x00\x00\x00\x08"]
)
def test_broken_exif_leaves_the_picture_as_it_is(kind: str, content: bytes) -> None:
    broken = picture(kind, 300, 400, exif=b"Exif\x00\x00" + content)
    np.testing.assert_array_equal(decoder()(broken), decoder()(picture(kind, 300, 400)))


@pytest.mark.parametrize("value", [0, 9, 65_535])
def test_an_orientation_that_is_none_leaves_the_picture_as_it_is(value: int) -> None:
    np.testing.assert_array_equal(decoder()(picture("JPEG", exif=exif(value))), decoder()(picture("JPEG")))


SOUND = picture("JPEG", 40, 50)


def with_segments(*contents: bytes) -> bytes:
    """A JPEG with these APP1 segments in front."""
    added = b"".join(b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content for content in contents)
    return SOUND[:2] + added + SOUND[2:]


segment = st.one_of(
    st.integers(0, 9).map(lambda value: exif(value).tobytes()),
    st.integers(0, 9).map(lambda value: XMP_SEGMENT + XMP % value),
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda noise: b"Exif\x00\x00" + noise),
)


@given(st.lists(segment, max_size=3))
def test_jpegs_own_reader_finds_what_pillow_finds(contents: list[bytes]) -> None:
    data = with_segments(*contents)
    with Image.open(io.BytesIO(data)) as image:
        try:
            theirs = image.getexif().get(0x0112, 1)
        except Exception:  # its parser raises whatever the bytes lead it to; a viewer shows the picture as it is
            return
    expected = theirs if isinstance(theirs, int) and 1 <= theirs <= 8 else 1
    assert jpeg.orientation(jpeg.header_segments(data, 1_000)) == expected


def test_the_encoder_hands_the_key_on(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path)
    data = picture("JPEG", 40, 50, exif=exif(6))
    turned, lying = (
        load_encoder(config.model_copy(update={"exif_orientation": key})).prepare(data, "") for key in (True, False)
    )
    np.testing.assert_allclose(turned.astype(int), np.rot90(lying, -1, (1, 2)), atol=2)
    assert np.abs(turned.astype(int) - lying).max() > 20
