"""What a TIFF file could make a decoder do that its size in pixels does not show."""

import struct

from stream_adapter.errors import UndecodableImage

# Tags of the first picture, which is the one that is read.
_STRIP_OFFSETS, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS = 273, 322, 323, 324
_INTEGER_BYTES = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 16: 8, 17: 8}  # by the type of an entry

_MAX_ENTRIES = 4_096
# Pillow makes a Python object of each. 50 million pixels in tiles of 16 × 16 are 195,000.
_MAX_PARTS = 200_000
_SMALLEST_TILE_LIMIT = 2_048 * 2_048


def check_tiff(data: bytes, max_pixels: int) -> None:
    """Refuse a TIFF of which the decoder would make millions of parts, or tiles far larger than the picture.

    Nothing else is checked: a directory that cannot be read is left to the decoder to refuse.

    Args:
        data: the file, which begins with a TIFF signature.
        max_pixels: the largest tile, but for tiles of usual sizes.

    Raises:
        UndecodableImage: with the figures.
    """
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
