"""What a JPEG file says about itself, read from its segments without decoding it."""

import re
from collections.abc import Iterator

from PIL import Image

END = b"\xff\xd9"

_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # not stuffing, not a restart, not filling: a segment
_START_OF_SCAN, _APPLICATION_1 = 0xDA, 0xE1
_HUFFMAN_FRAMES = {0xC0, 0xC1, 0xC2}  # a decoder fills what arithmetic coding lacks with zeros and says nothing
_PROGRESSIVE = 0xC2

_EXIF = b"Exif\x00\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_ORIENTATION = 0x0112


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment, up to the end marker: what phones append to pictures is not looked at."""
    at = 2
    while (found := _MARKER.search(data, at)) and found[0] != END:
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        yield found[1][0], data[found.end() + 2 : found.end() + length]
        at = found.end() + length


def header_segments(data: bytes, limit: int) -> list[tuple[int, bytes]]:
    """Marker and content of the segments before the first scan, at most `limit` of them."""
    header: list[tuple[int, bytes]] = []
    for marker, content in segments(data):
        if marker == _START_OF_SCAN or len(header) == limit:
            break
        header.append((marker, content))
    return header


def scans(data: bytes) -> int:
    """Number of scans."""
    return sum(marker == _START_OF_SCAN for marker, _ in segments(data))


def orientation(header: list[tuple[int, bytes]]) -> int:
    """The EXIF orientation, 1 to 8, found where Pillow looks for it: in EXIF, else in XMP; 1 where neither says it.

    Args:
        header: from `header_segments`.
    """
    exif, xmp = b"", b""
    for marker, content in header:
        if marker == _APPLICATION_1 and content.startswith(_EXIF):
            exif += content[len(_EXIF) :] if exif else content
        elif marker == _APPLICATION_1 and content.startswith(_XMP):
            xmp = content
    parsed = Image.Exif()
    try:
        parsed.load(exif)
        if _ORIENTATION in parsed:
            return _valid(parsed[_ORIENTATION])
    except Exception:  # noqa: BLE001 - Pillow's EXIF parser raises whatever broken bytes lead it to
        return 1
    return _valid(int(found[1])) if (found := _XMP_ORIENTATION.search(xmp)) else 1


def image_orientation(image: Image.Image) -> int:
    """The EXIF orientation of a picture that Pillow opened, 1 to 8; 1 where its EXIF is broken."""
    try:
        return _valid(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - as above
        return 1


def is_whole(data: bytes) -> bool:
    """Whether the scans bring every coefficient of every component to its last bit; for a file without end marker.

    A decoder cannot tell: a progressive picture that ends between two scans looks whole to it, only coarse.
    """
    missing: set[tuple[int, int]] | None = None  # component, coefficient
    progressive = False
    try:
        for marker, content in segments(data):
            if marker in _HUFFMAN_FRAMES:
                components = content[6 : 6 + 3 * content[5] : 3]
                progressive = marker == _PROGRESSIVE
                missing = {(component, number) for component in components for number in range(64)}
            elif marker == _START_OF_SCAN and missing is not None:
                names = content[1 : 1 + 2 * content[0] : 2]
                first, last, bits = content[1 + 2 * content[0] :][:3] if progressive else (0, 63, 0)
                if bits & 0x0F == 0:  # the last bit of these coefficients
                    missing -= {(component, number) for component in names for number in range(first, last + 1)}
    except (IndexError, ValueError):  # a segment shorter than it must be
        return False
    return missing is not None and not missing


def _valid(value: object) -> int:
    """A value that is no orientation leaves the picture as it is."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
