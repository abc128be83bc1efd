"""Exactly 200 files that an image topic can receive and that must be refused: the hostile corpus.

Deterministic: the same bytes on every run, up to the encoders of the installed Pillow. Files that a decoder can
rightly show (flipped bits in the entropy-coded data, a PNG without its end chunk) do not belong here.

    for file in hostile_files():
        with pytest.raises(UndecodableImage, match=file.reason):
            decode(file.data, file.content_type)
"""

import functools
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from tests.picture_files import PNG_SIGNATURE, chunk, frame_header, jpeg_declaring, picture, png

MAX_PIXELS = 50_000_000
"""The limit that the bombs exceed; `encoder.max_pixels` as delivered."""

MAX_BYTES = 20_000_000
"""The limit that the over-long files exceed; `encoder.max_bytes` as delivered."""

EMPTY = "is empty"
TOO_LONG = r"more than the limit of [\d,]+ \(`encoder.max_bytes`\)"
NOT_A_PICTURE = "not a picture that can be read"
TOO_MANY_PIXELS = r"more than the limit of [\d,]+ \(`encoder.max_pixels`\)|declares too many pixels"
TOO_OBLONG = "one side is more than 200 times the other"
TOO_MANY_SCANS = "scans over"
TRUNCATED = "truncated|cannot be decoded|broken header"
BROKEN = "cannot be decoded|broken header|truncated"

_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


@dataclass(frozen=True, slots=True)
class HostileFile:
    """One file that must be refused.

    Attributes:
        name: what is wrong with it; unique.
        content_type: what the event says it is.
        data: the bytes.
        reason: pattern that the error's message must contain.
        stage: where on the journey it must be refused.
    """

    name: str
    content_type: str
    data: bytes = field(repr=False)
    reason: str
    stage: str = "decode"


@functools.cache
def hostile_files() -> tuple[HostileFile, ...]:
    """All 200 of them."""
    files = (*_empty(), *_random(), *_other_formats(), *_too_long(), *_truncated())
    files += (*_png_bombs(), *_png_broken(), *_jpeg_bombs(), *_jpeg_broken(), *_webp_broken())
    files += (*_gif(), *_bmp(), *_tiff(), *_avif())
    assert len(files) == 200, f"{len(files)} files"
    assert len({file.name for file in files}) == 200, "names are not unique"
    return files


def _empty() -> Iterator[HostileFile]:
    for content_type in _TYPES.values():
        yield HostileFile(f"zero bytes as {content_type}", content_type, b"", EMPTY)
    for length in (1, 7, 4096):
        yield HostileFile(f"{length} NUL bytes", "image/png", bytes(length), NOT_A_PICTURE)


def _random() -> Iterator[HostileFile]:
    rng = np.random.default_rng(1)
    for length in (1, 2, 11, 100, 1_000, 10_000, 100_000):
        yield HostileFile(f"{length} random bytes", "image/jpeg", rng.bytes(length), NOT_A_PICTURE)
    # The byte after the signature is fixed: a random one could by chance begin a sound segment.
    for length in (4, 64, 1_000, 50_000):
        noise = rng.bytes(length)
        yield HostileFile(f"JPEG signature, {length} random bytes", "image/jpeg", b"\xff\xd8\xff\x00" + noise, BROKEN)
        yield HostileFile(f"PNG signature, {length} random bytes", "image/png", PNG_SIGNATURE + b"\xff" + noise, BROKEN)
        riff = b"RIFF" + struct.pack("<I", length + 4) + b"WEBP"
        yield HostileFile(f"WebP signature, {length} random bytes", "image/webp", riff + noise, BROKEN)


def _other_formats() -> Iterator[HostileFile]:
    table = np.zeros((8, 8, 3), np.uint8)
    pictures = {}
    for kind in ("ICO", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(table).save(buffer, kind)
        pictures[kind] = buffer.getvalue()
    others = pictures | {
        "plain text": b"the picture of a cat, as agreed\n",
        "base64 of a picture": b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgK",
        "UTF-16 text": "\ufeffcat".encode("utf-16-le"),
        "HTML": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "XML": b'<?xml version="1.0"?><error>NoSuchKey</error>',
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "JSON": b'{"error": "rate limit"}',
        "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "ZIP": b"PK\x03\x04" + bytes(26) + b"a.jpg",
        "gzip": zlib.compress(b"cat", wbits=31),
        "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94.",
        "ELF": b"\x7fELF\x02\x01\x01" + bytes(57),
        "MP4": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2",
        "JPEG XL": b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(20),
        "WAV in RIFF": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(28),
        "JPEG behind a blank": b" " + picture("JPEG"),
        "PNG with Unix line ends": picture("PNG").replace(b"\r\n", b"\n", 1),
    }
    for name, data in others.items():
        yield HostileFile(f"{name} as image/jpeg", "image/jpeg", data, NOT_A_PICTURE)


def _too_long() -> Iterator[HostileFile]:
    for kind, content_type in _TYPES.items():
        padded = picture(kind).ljust(MAX_BYTES + 1, b"\0")
        yield HostileFile(f"{kind} one byte too long", content_type, padded, TOO_LONG)


def sound_sources() -> dict[str, tuple[bytes, int]]:
    """Whole pictures by name, each with how often the corpus cuts it short."""
    rows = np.random.default_rng(2).integers(0, 5, 4_216, dtype=np.uint8).tobytes()
    return {
        "JPEG": (picture("JPEG"), 12),
        "progressive JPEG": (picture("JPEG", progressive=True), 8),
        "grey JPEG": (picture("JPEG", mode="L"), 4),
        "CMYK JPEG": (picture("JPEG", mode="CMYK"), 4),
        "PNG": (picture("PNG"), 12),
        # Values below 5 only: the first byte of each row names its filter, and there are five.
        "interlaced PNG": (png(64, 64, interlace=1, rows=rows), 4),
        "WEBP": (picture("WEBP"), 10),
        "lossless WEBP": (picture("WEBP", lossless=True), 6),
    }


def _truncated() -> Iterator[HostileFile]:
    sources = sound_sources()
    for name, (data, cuts) in sources.items():
        kind = name.rpartition(" ")[2]
        # A PNG's last 24 bytes are checksums and the end chunk, a JPEG's last 2 its end marker: without them the
        # picture is whole.
        last = len(data) - {"PNG": 30, "JPEG": 3}.get(kind, 2)
        for keep in np.linspace(16, last, cuts).astype(int):
            data_kept = data[: int(keep)]
            yield HostileFile(f"{name} cut after {keep} of {len(data)}", _TYPES[kind], data_kept, TRUNCATED)
    for name in ("JPEG", "progressive JPEG", "CMYK JPEG"):
        data, _ = sources[name]
        for share in (0.6, 0.9):
            ended = data[: int(len(data) * share)].rstrip(b"\xff") + b"\xff\xd9"
            yield HostileFile(f"{name} cut at {share:.0%} with an end marker", "image/jpeg", ended, TRUNCATED)


def _png_bombs() -> Iterator[HostileFile]:
    for height, width in ((7_072, 7_072), (20_000, 20_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1), (10**6, 5_001)):
        bomb = png(height, width, rows=bytes(1_000))
        yield HostileFile(f"PNG declaring {width} × {height}", "image/png", bomb, TOO_MANY_PIXELS)
    whole = png(8_000, 8_000, depth=1, rows=bytes(8_000 * 1_001))
    yield HostileFile("PNG of 64 million black pixels, whole", "image/png", whole, TOO_MANY_PIXELS)
    deep = png(9_000, 9_000, depth=16, colour=6, rows=bytes(1_000))
    yield HostileFile("PNG of 81 million 64-bit pixels", "image/png", deep, TOO_MANY_PIXELS)
    thin = png(1, 40_000, rows=bytes(40_001))
    yield HostileFile("PNG of 40000 × 1", "image/png", thin, TOO_OBLONG)
    tall = png(201 * 3, 3, rows=bytes(201 * 3 * 4))
    yield HostileFile("PNG of 3 × 603", "image/png", tall, TOO_OBLONG)
    sound = picture("PNG")
    zeros = zlib.compress(bytes(100_000_000), 9)
    for name, keyword in (("zTXt", b"Comment\0\0"), ("iTXt", b"Comment\0\1\0\0\0")):
        bomb = sound[:33] + chunk(name.encode(), keyword + zeros) + sound[33:]
        yield HostileFile(f"PNG with 100 MB of zeros in {name}", "image/png", bomb, BROKEN)
    many = sound[:33] + chunk(b"abCd") * 1_500_000 + sound[33:]
    yield HostileFile("PNG of 1.5 million chunks", "image/png", many, "chunks")


def _png_broken() -> Iterator[HostileFile]:
    sound = picture("PNG")
    for bit in (0, 7, 16, 31, 63, 64, 72, 80, 96, 103):  # of the 13 header bytes; the checksum tells
        flipped = bytearray(sound)
        flipped[16 + bit // 8] ^= 1 << bit % 8
        yield HostileFile(f"PNG with bit {bit} of its header flipped", "image/png", bytes(flipped), BROKEN)
    for height, width in ((0, 0), (0, 1), (1, 0)):
        name = f"PNG of {width} × {height}"
        yield HostileFile(name, "image/png", png(height, width), BROKEN + "|nothing to see")
    header, body = sound[:33], sound[33:]
    rows = bytes(64 * 65)
    checksum = struct.pack(">I", zlib.adler32(rows))
    broken = {
        "PNG with a wrong header checksum": PNG_SIGNATURE + chunk(b"IHDR", sound[16:29], crc=1) + body,
        "PNG with a header of 12 bytes": PNG_SIGNATURE + chunk(b"IHDR", sound[16:28]) + body,
        "PNG, the header only": header,
        "PNG without data": header + chunk(b"IEND"),
        "PNG with empty data": header + chunk(b"IDAT") + chunk(b"IEND"),
        "PNG whose data is no zlib stream": header + chunk(b"IDAT", b"cat" * 99) + chunk(b"IEND"),
        "PNG whose data has a wrong checksum": png(64, 64, rows=rows).replace(checksum, b"cats"),
        "PNG of bit depth 3": png(64, 64, depth=3, rows=rows),
        "PNG of colour type 5": png(64, 64, colour=5, rows=rows),
        "PNG, the data before the header": PNG_SIGNATURE + body,
    }
    for name, data in broken.items():
        yield HostileFile(name, "image/png", data, BROKEN)


def _jpeg_bombs() -> Iterator[HostileFile]:
    progressive = picture("JPEG", progressive=True)
    for height, width in ((7_072, 7_072), (30_000, 30_000), (65_535, 65_535)):
        name = f"JPEG declaring {width} × {height}"
        yield HostileFile(name, "image/jpeg", jpeg_declaring(height, width), TOO_MANY_PIXELS)
        bomb = jpeg_declaring(height, width, progressive)
        yield HostileFile(f"progressive {name}", "image/jpeg", bomb, TOO_MANY_PIXELS)
    yield HostileFile("JPEG declaring 65535 × 1", "image/jpeg", jpeg_declaring(1, 65_535), TOO_OBLONG)
    hollow = jpeg_declaring(6_900, 7_000)
    yield HostileFile("JPEG declaring 48 million pixels, a few there", "image/jpeg", hollow, TRUNCATED)
    scan = progressive.rfind(b"\xff\xda")
    scans = progressive[:scan] + progressive[scan:-2] * 3_000 + b"\xff\xd9"
    yield HostileFile("JPEG of 3000 scans", "image/jpeg", jpeg_declaring(6_900, 7_000, scans), TOO_MANY_SCANS)


def _jpeg_broken() -> Iterator[HostileFile]:
    sound = picture("JPEG")
    frame, scan = frame_header(sound), sound.find(b"\xff\xda")
    tables, codes = sound.find(b"\xff\xdb"), sound.find(b"\xff\xc4")
    after_frame = frame + 2 + int.from_bytes(sound[frame + 2 : frame + 4], "big")
    broken = {
        "JPEG, the start marker only": sound[:3],
        "JPEG, start and end markers only": b"\xff\xd8\xff\xd9",
        "JPEG, the headers only": sound[:scan],
        "JPEG, the headers and an end marker": sound[:scan] + b"\xff\xd9",
        "JPEG of width 0": jpeg_declaring(96, 0),
        "JPEG of 0 × 0": jpeg_declaring(0, 0),
        "JPEG without a frame header": sound[:frame] + sound[after_frame:],
        "JPEG without tables": b"\xff\xd8" + sound[frame:after_frame] + sound[scan:],
        "JPEG of 12-bit samples": sound[: frame + 4] + b"\x0c" + sound[frame + 5 :],
        "JPEG of 7 components": sound[: frame + 9] + b"\x07" + sound[frame + 10 :],
        "JPEG with sampling factors of 0": sound[: frame + 11] + b"\x00" + sound[frame + 12 :],
        "JPEG of a reserved kind": sound[: frame + 1] + b"\xc8" + sound[frame + 2 :],
        "JPEG of the lossless kind": sound[: frame + 1] + b"\xc3" + sound[frame + 2 :],
        "JPEG with a frame header of length 2": sound[: frame + 2] + b"\x00\x02" + sound[frame + 4 :],
        "JPEG with a table of length 0": sound[: tables + 2] + b"\x00\x00" + sound[tables + 4 :],
        "JPEG with a Huffman table of no codes": sound[: codes + 5] + bytes(16) + sound[codes + 21 :],
        "JPEG whose scan names no component": sound[: scan + 4] + b"\x00" + sound[scan + 5 :],
        "JPEG whose scan names a fifth component": sound[: scan + 5] + b"\x05" + sound[scan + 6 :],
        "JPEG with a segment past its end": b"\xff\xd8\xff\xe1\xff\xff" + sound[2:],
    }
    for name, data in broken.items():
        yield HostileFile(name, "image/jpeg", data, BROKEN)


def _webp_broken() -> Iterator[HostileFile]:
    lossy, lossless = picture("WEBP"), picture("WEBP", lossless=True)

    def canvas(width: int, height: int, frame: bytes = b"") -> bytes:
        extended = b"VP8X" + struct.pack("<IB3x", 10, 0) + (width - 1).to_bytes(3, "little")
        body = b"WEBP" + extended + (height - 1).to_bytes(3, "little") + frame
        return b"RIFF" + struct.pack("<I", len(body)) + body

    broken = {
        "WebP with a broken start code": lossy[:23] + b"cat" + lossy[26:],
        "WebP of width 0": lossy[:26] + b"\0\0" + lossy[28:],
        "lossless WebP with a broken signature": lossless[:20] + b"\0" + lossless[21:],
        "WebP with an unknown chunk": lossy[:12] + b"CATS" + lossy[16:],
        "WebP whose chunk is longer than the file": lossy[:16] + b"\xff\xff\xff\x7f" + lossy[20:],
        "WebP canvas without a picture": canvas(64, 64),
        "WebP canvas other than its picture": canvas(3_000, 3_000, lossy[12:]),
        "WebP, the header only": lossy[:12],
    }
    for name, data in broken.items():
        yield HostileFile(name, "image/webp", data, BROKEN)
    vast = canvas(1 << 24, 1 << 24, lossy[12:])
    yield HostileFile("WebP canvas of 16 million × 16 million", "image/webp", vast, TOO_MANY_PIXELS)
    for width in (7_143, 16_000):
        name = f"lossless WebP declaring {width} × {width}"
        size = ((width - 1) | (width - 1) << 14).to_bytes(4, "little")
        data = lossless[:21] + size + lossless[25:]
        yield HostileFile(name, "image/webp", data, TOO_MANY_PIXELS)


def _gif() -> Iterator[HostileFile]:
    sound = picture("GIF")
    vast = sound[:6] + struct.pack("<HH", 60_000, 60_000) + sound[10:]
    yield HostileFile("GIF declaring 60000 × 60000", "image/gif", vast, TOO_MANY_PIXELS)
    comments = sound[:6] + bytes(7) + b"\x21\xfe" + b"\x01c" * 9_000_000 + b"\0"
    yield HostileFile("GIF of 9 million comments", "image/gif", comments, "begins after more than")
    yield HostileFile("GIF cut in the middle", "image/gif", sound[: len(sound) // 2], TRUNCATED)


def _bmp() -> Iterator[HostileFile]:
    sound = picture("BMP")
    vast = sound[:18] + struct.pack("<ii", 30_000, 30_000) + sound[26:]
    yield HostileFile("BMP declaring 30000 × 30000", "image/bmp", vast, TOO_MANY_PIXELS)
    yield HostileFile("BMP cut in the middle", "image/bmp", sound[: len(sound) // 2], TRUNCATED)
    # 8 bits for each pixel, run-length encoded; of 49 million pixels there are some, one by one.
    header = struct.pack("<IiiHHIIiiII", 40, 7_000, 7_000, 1, 8, 1, 0, 0, 0, 256, 0)
    runs = b"BM" + struct.pack("<IHHI", 0, 0, 0, 1_078) + header + bytes(1_024) + b"\x01\x01" * 9_000_000
    yield HostileFile("BMP of 9 million runs of one pixel", "image/bmp", runs, "run-length encoding")


def _tiff() -> Iterator[HostileFile]:
    def tiff(*tags: tuple[int, int, int], data: bytes = b"") -> bytes:
        """A little-endian TIFF of tags (number, count, value), each of 32-bit integers, with this data behind it."""
        directory = b"".join(struct.pack("<HHLL", number, 4, count, value) for number, count, value in sorted(tags))
        return b"II*\x00" + struct.pack("<LH", 8, len(tags)) + directory + bytes(4) + data

    def grey(height: int, width: int) -> list[tuple[int, int, int]]:
        return [(256, 1, width), (257, 1, height), (258, 1, 8), (259, 1, 1), (262, 1, 1), (277, 1, 1)]

    vast = tiff(*grey(60_000, 60_000), (273, 1, 8), (278, 1, 60_000))
    yield HostileFile("TIFF declaring 60000 × 60000", "image/tiff", vast, TOO_MANY_PIXELS)
    strips = tiff(*grey(100, 100), (273, 4_000_000, 100), (278, 1, 1), data=bytes(16_000_100))
    yield HostileFile("TIFF of 100 × 100 in 4 million strips", "image/tiff", strips, "parts; more than")
    tiles = tiff(*grey(100, 100), (322, 1, 60_000), (323, 1, 60_000), (324, 1, 8), data=bytes(100))
    yield HostileFile("TIFF of 100 × 100 in a tile of 60000 × 60000", "image/tiff", tiles, TOO_MANY_PIXELS)
    yield HostileFile("TIFF, the data cut", "image/tiff", picture("TIFF", compression="tiff_lzw")[:2_000], TRUNCATED)


def _avif() -> Iterator[HostileFile]:
    sound = picture("AVIF")
    size = sound.index(b"ispe") + 8
    vast = sound[:size] + struct.pack(">II", 8_000, 8_000) + sound[size + 8 :]
    yield HostileFile("AVIF declaring 8000 × 8000", "image/avif", vast, TOO_MANY_PIXELS)
    yield HostileFile("AVIF cut in the middle", "image/avif", sound[: len(sound) // 2], TRUNCATED)
