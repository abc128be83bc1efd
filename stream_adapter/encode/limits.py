"""What a file could make a decoder do that its size in bytes and pixels does not show."""

import struct

from stream_adapter.errors import UndecodableImage
from stream_adapter.events.formats import BMP, GIF, PNG, TIFF, PictureFormat

# Pillow reads these one by one, in Python, and a file may hold millions of them. Encoders fill them: a PNG's chunks are
# of 8 kB or more, a GIF's blocks of 255 bytes.
_MAX_PNG_CHUNKS = 50_000
_MAX_GIF_BLOCKS = 100_000

# Run-length encoding is decoded in Python, too. Such files are icons and drawings, of some kB.
_MAX_RUN_LENGTH_ENCODED = 1_000_000

# Tags of the first picture, which is the one that is read.
_STRIP_OFFSETS, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS = 273, 322, 323, 324
_INTEGER_BYTES = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 16: 8, 17: 8}  # by the type of an entry

_MAX_ENTRIES = 4_096
# Pillow makes a Python object of each. 50 million pixels in tiles of 16 × 16 are 195,000.
_MAX_PARTS = 200_000
_SMALLEST_TILE_LIMIT = 2_048 * 2_048


def check_parts(data: bytes, kind: PictureFormat, max_pixels: int) -> None:
    """Refuse a file of far more parts than a picture has, for the time or the memory that they would take.

    Nothing else is checked: what cannot be read is left to the decoder to refuse.

    Args:
        data: the file, which begins with the signature of its kind.
        kind: what it is.
        max_pixels: the largest tile of a TIFF, but for tiles of usual sizes.

    Raises:
        UndecodableImage: with the figures.
    """
    if kind is TIFF:
        _check_tiff(data, max_pixels)
    elif kind is PNG:
        _check_png(data)
    elif kind is GIF:
        _check_gif(data)
    elif kind is BMP and data[30:31] in (b"\x01", b"\x02") and len(data) > _MAX_RUN_LENGTH_ENCODED:
        raise UndecodableImage(
            f"the BMP picture is {len(data):,} bytes of run-length encoding; more than {_MAX_RUN_LENGTH_ENCODED:,} are "
            "refused"
        )


def _check_png(data: bytes) -> None:
    at, chunks = 8, 0
    while at + 8 <= len(data):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        chunks += 1
        if chunks > _MAX_PNG_CHUNKS:
            raise UndecodableImage(f"the PNG picture has more than {_MAX_PNG_CHUNKS:,} chunks")


def _check_gif(data: bytes) -> None:
    """Count the blocks of the extensions before the first frame."""
    flags = data[10] if len(data) > 10 else 0
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)  # behind the palette
    blocks = 0
    while data[at : at + 1] == b"!":
        at += 2
        while at < len(data) and (length := data[at]):
            at += 1 + length
            blocks += 1
            if blocks > _MAX_GIF_BLOCKS:
                raise UndecodableImage(f"the GIF picture begins after more than {_MAX_GIF_BLOCKS:,} blocks")
        at += 1


def _check_tiff(data: bytes, max_pixels: int) -> None:
    """Refuse a TIFF of which the decoder would make many parts, or tiles far larger than the picture."""
    little = data.startswith(b"II")
    order = "<" if little else ">"
    large = b"+" in data[2:4]
    try:
        (start,) = struct.unpack_from(order + ("Q" if large else "L"), data, 8 if large else 4)
        (entries,) = struct.unpack_from(order + ("Q" if large else "H"), data, start)
    except (struct.error, OverflowError):
        return
    if entries > _MAX_ENTRIES:
        raise UndecodableImage(f"the TIFF picture has {entries:,} tags; more than {_MAX_ENTRIES:,} are refused")
    entry = struct.Struct(order + ("HHQ8s" if large else "HHL4s"))
    first = start + (8 if large else 2)
    directory = data[first : first + entries * entry.size]
    sides = {_TILE_WIDTH: 0, _TILE_LENGTH: 0}
    for tag, kind, count, value in entry.iter_unpack(directory[: len(directory) // entry.size * entry.size]):
        if tag in (_STRIP_OFFSETS, _TILE_OFFSETS) and count > _MAX_PARTS:
            raise UndecodableImage(f"the TIFF picture has {count:,} parts; more than {_MAX_PARTS:,} are refused")
        if tag in sides:
            side = int.from_bytes(value[: _INTEGER_BYTES.get(kind, 4)], "little" if little else "big")
            sides[tag] = max(side, sides[tag])
    width, length = sides.values()
    if width * length > max(max_pixels, _SMALLEST_TILE_LIMIT):
        raise UndecodableImage(
            f"the TIFF picture has tiles of {width} × {length} = {width * length:,} pixels, more than the limit of "
            f"{max_pixels:,} (`encoder.max_pixels`)"
        )
