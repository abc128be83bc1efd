import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.events.formats import (
    DECLARED_TYPES,
    FORMATS,
    FOUND_TYPES,
    declared_type,
    found_type,
    looks_like,
    may_be_picture,
    picture_format,
)
from tests.picture_files import picture

PICTURES = {kind.media_type: kind.pillow for kind in FORMATS if kind.name != "HEIC"}


def box(major: bytes, *compatible: bytes) -> bytes:
    """The first box of an ISO media file."""
    content = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (len(content) + 4).to_bytes(4, "big") + content


@pytest.mark.parametrize(("media_type", "kind"), PICTURES.items())
def test_every_format_is_told_by_its_first_bytes(media_type: str, kind: str) -> None:
    assert found_type(picture(kind)) == media_type
    assert found_type(b" " + picture(kind)) == "other"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (box(b"avif", b"mif1"), "image/avif"),
        (box(b"avis", b"msf1"), "image/avif"),
        (box(b"mif1", b"miaf", b"avif"), "image/avif"),
        (box(b"mif1", b"heic", b"miaf"), "image/heic"),
        (box(b"heic", b"mif1"), "image/heic"),
        (box(b"hevc"), "image/heic"),
        (box(b"isom", b"mp42"), "other"),
        (box(b"qt  "), "other"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "image/bmp"),
        (b"BMW is a make of cars", "other"),
        (b"II+\x00", "image/tiff"),
        (b"GIF88a", "other"),
    ],
)
def test_formats_by_hand(data: bytes, expected: str) -> None:
    assert found_type(data) == expected


def test_videos_are_named_as_what_they_are() -> None:
    assert looks_like(box(b"isom")) == "looks like a video"
    assert looks_like(b"cat") == "no known signature"


@given(st.binary(max_size=64))
def test_any_bytes_have_a_type(data: bytes) -> None:
    assert found_type(data) in FOUND_TYPES
    assert (picture_format(data) is None) == (found_type(data) == "other")
    assert looks_like(data)


@given(st.text(max_size=20) | st.sampled_from(["image/jpg", "image/pjpeg", "image/heif", "image/tif", "image/gif"]))
def test_any_declaration_is_bounded(content_type: str) -> None:
    assert declared_type(content_type) in DECLARED_TYPES
    assert may_be_picture(content_type) or not content_type.startswith("image/")
