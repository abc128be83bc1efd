"""Picture files for tests: sound ones, and ones that declare what they like."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def soft_shapes(height: int, width: int) -> Image.Image:
    """An RGB picture without hard edges; the same on every run."""
    rng = np.random.default_rng(height * 10_007 + width)
    seed = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    return seed.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(kind: str, height: int = 96, width: int = 128, mode: str = "RGB", **options: Any) -> bytes:
    """A sound picture with soft shapes, as a file."""
    return encoded(soft_shapes(height, width).convert(mode), kind, **options)


def chunk(name: bytes, data: bytes = b"", *, crc: int | None = None) -> bytes:
    """A PNG chunk, with its right checksum unless another is given."""
    crc = zlib.crc32(name + data) if crc is None else crc
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def png(height: int, width: int, *, depth: int = 8, colour: int = 0, interlace: int = 0, rows: bytes = b"") -> bytes:
    """A PNG that declares this size, with these raw rows in it."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND")


def jpeg_declaring(height: int, width: int, data: bytes | None = None) -> bytes:
    """A small JPEG whose frame header declares another size."""
    data = data or picture("JPEG")
    at = frame_header(data) + 5  # marker (2), length (2), precision (1)
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def frame_header(data: bytes) -> int:
    """Where the start-of-frame marker of a baseline or progressive JPEG is."""
    return max(data.find(b"\xff\xc0\x00"), data.find(b"\xff\xc2\x00"))
