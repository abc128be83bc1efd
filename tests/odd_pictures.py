"""Odd pictures as they really come, as many as asked for: some that a person sees as ever, some that nobody can see.

Each is made from its number alone, so that a failing one can be made again: `odd_picture(number)`.
"""

import base64
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tests.picture_files import PNG_SIGNATURE, chunk, encoded, frame_header, png, soft_shapes

LOSSLESS = ("PNG", "BMP", "TIFF")
LOSSY = ("JPEG", "WEBP", "AVIF")
KINDS = (*LOSSLESS, *LOSSY, "GIF")

# Pillow writes none: `jpegtran -arithmetic` of `soft_shapes(16, 16)`.
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAUDBAQEAwUEBAQFBQUGBwwIBwcHBw8LCwkMEQ8SEhEPERETFhwXExQaFRERGCEYGh0dHx8fExciJC"
    "IeJBweHx7/2wBDAQUFBQcGBw4ICA4eFBEUHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh7/yQARCAAQ"
    "ABADAREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwDSF8Tpxzk5sGysXoYh+sTOnqJNQD66VoGmPdm09pG9mztsmIZ8ulW1ZNOwan"
    "b0BSt3AFA1ENSFB+/Io5Dy6iyxVAC46OT/AKgIWwm+nx45wuksiUtMyWoZAlkuLr+usm9kP2Xij2aNr89j4KcxTB727MNmN4cGuxIKWd7RWyoF"
    "HMRdHb5Wh5oOFbxxOv8AWChLZ/Wx6ZjAsY82XugM86Y60eCR+PpoTTzpwRPR8f1/2Olqee/FyjllO7/7rQZ3wxfUd/1LqETDsykxUxiCIdCPGA"
    "qAZ75j+6NJAmFwEWT/AOOrc8DIsNZP/agnFhX9elqvG7ZzMGAXV4cFRv/Z"
)

Draw = random.Random


@dataclass(frozen=True, slots=True)
class OddPicture:
    """One file.

    Attributes:
        name: what is odd about it.
        content_type: what it is declared as; seldom right.
        data: the bytes.
        seen: the RGB picture that a person sees; None where there is none.
        level: by how many grey levels the decoded one may differ from that, on average.
        sound: whether it must be decoded (True), must be refused (False), or may be either (None).
    """

    name: str
    content_type: str
    data: bytes = field(repr=False)
    seen: Image.Image | None = field(default=None, repr=False)
    level: float = 0.0
    sound: bool | None = None


def odd_picture(number: int) -> OddPicture:
    """The odd picture of this number; every kind of oddity comes once in so many numbers as there are kinds."""
    draw = random.Random(number)
    make = MAKERS[number % len(MAKERS)]
    content_type = draw.choice(["image/jpeg", "image/png", "image/*", "application/octet-stream", "", "image/heic"])
    made = make(draw)
    return OddPicture(make.__name__, content_type, **made)


def shapes(draw: Draw) -> Image.Image:
    """Large enough that the colours, which most encoders halve, stay soft."""
    return soft_shapes(draw.randint(60, 160), draw.randint(60, 160))


def good(data: bytes, seen: Image.Image, level: float) -> dict[str, Any]:
    return {"data": data, "seen": seen.convert("RGB"), "level": level, "sound": True}


def bad(data: bytes) -> dict[str, Any]:
    return {"data": data, "sound": False}


def either(data: bytes) -> dict[str, Any]:
    return {"data": data, "sound": None}


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    fine = {"quality": 95} if kind == "WEBP" else {"quality": 95, "subsampling": "4:4:4"} if kind in LOSSY else {}
    return encoded(image, kind, **fine | options)


def any_file(draw: Draw) -> tuple[str, bytes]:
    kind = draw.choice(KINDS)
    return kind, saved(shapes(draw), kind)


# What a person sees


def of_every_size(draw: Draw) -> dict[str, Any]:
    kind = draw.choice((*LOSSLESS, *LOSSY))
    height = draw.choice([1, 2, 3, 7, 8, 9, 16, 17])
    image = soft_shapes(height, draw.randint(1, min(200 * height, 120)))
    options = {"subsampling": "4:4:4"} if kind in ("JPEG", "AVIF") else {"lossless": True} if kind == "WEBP" else {}
    return good(saved(image, kind, **options), image, 8 if kind in LOSSY else 0.6)


def one_pixel(draw: Draw) -> dict[str, Any]:
    image = Image.new("RGB", (1, 1), tuple(draw.randrange(256) for _ in range(3)))
    kind = draw.choice(KINDS)
    return good(saved(image, kind), image, 6 if kind in LOSSY else 0.6)


def turned_by_exif(draw: Draw) -> dict[str, Any]:
    image, orientation = shapes(draw), draw.randint(1, 8)
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what undoes the orientation's own turn
    stored = image if orientation == 1 else image.transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    kind = draw.choice(["JPEG", "PNG", "WEBP", "AVIF"])
    return good(saved(stored, kind, exif=exif), image, 3 if kind in LOSSY else 1)


def cmyk_by_adobe(draw: Draw) -> dict[str, Any]:
    image = shapes(draw)
    return good(saved(image.convert("CMYK"), "JPEG"), image, 4)  # Pillow writes Adobe's marker, and inverted


def cmyk_without_adobes_marker(draw: Draw) -> dict[str, Any]:
    """Browsers and Pillow take every CMYK JPEG for inverted, as Adobe writes them, with its marker or without."""
    image = shapes(draw)
    data = saved(image.convert("CMYK"), "JPEG")
    at = data.index(b"\xff\xee")
    return good(data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :], image, 4)


def sixteen_bits(draw: Draw) -> dict[str, Any]:
    image = shapes(draw)
    grey = image.convert("L")
    if draw.random() < 0.5:
        deep = np.asarray(grey).astype(np.uint16) * 257
        return good(encoded(Image.fromarray(deep), draw.choice(["PNG", "TIFF"])), grey, 0.6)
    deep = np.asarray(image).astype(">u2") * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    return good(png(image.height, image.width, depth=16, colour=2, rows=rows), image, 0.6)


def on_transparent_ground(draw: Draw) -> dict[str, Any]:
    image = shapes(draw)
    alpha = Image.new("L", image.size, 0)
    alpha.paste(255, (image.width // 4, image.height // 4, image.width * 3 // 4, image.height * 3 // 4))
    seen = Image.new("RGB", image.size, "white")
    seen.paste(image, mask=alpha)
    kind = draw.choice(["PNG", "PNG palette", "TIFF", "WEBP", "GIF"])
    image.putalpha(alpha)
    if kind == "PNG palette":
        return good(encoded(image.quantize(128), "PNG"), seen, 8)
    options = {"lossless": True} if kind == "WEBP" else {}
    return good(encoded(image, kind, **options), seen, 8 if kind == "GIF" else 0.6)


def palette_with_an_alpha_for_each_colour(draw: Draw) -> dict[str, Any]:
    colours, alphas = np.array([[0, 0, 0], [200, 30, 30], [30, 30, 200]]), np.array([0, 128, 255])
    rows = np.repeat(np.arange(3, dtype=np.uint8), draw.randint(8, 30))
    index = np.repeat(rows[:, None], draw.randint(16, 90), axis=1)
    image = Image.fromarray(index, "P")
    image.putpalette(colours.astype(np.uint8).tobytes())
    share = alphas[index][..., None] / 255
    seen = Image.fromarray(np.rint(colours[index] * share + 255 * (1 - share)).astype(np.uint8))
    return good(encoded(image, "PNG", transparency=bytes(alphas.tolist())), seen, 0.6)


def animated(draw: Draw) -> dict[str, Any]:
    first = shapes(draw)
    frames = [soft_shapes(first.height, first.width + 1 + k).resize(first.size) for k in range(draw.randint(1, 4))]
    kind = draw.choice(["GIF", "WEBP", "PNG", "TIFF", "AVIF", "MPO"])
    fine = {"quality": 95, "subsampling": "4:4:4"}
    options = {"lossless": True} if kind in ("WEBP", "PNG") else fine if kind in ("AVIF", "MPO") else {}
    data = encoded(first, kind, save_all=True, append_images=frames, **options)
    return good(data, first, 10 if kind == "GIF" else 3 if kind in ("AVIF", "MPO") else 0.6)


def progressive(draw: Draw) -> dict[str, Any]:
    image = shapes(draw)
    return good(saved(image, "JPEG", progressive=True, optimize=draw.random() < 0.5), image, 3)


def arithmetic(draw: Draw) -> dict[str, Any]:
    return good(ARITHMETIC + draw.randbytes(draw.choice([0, 9])), soft_shapes(16, 16), 6)


def with_a_colour_profile(draw: Draw) -> dict[str, Any]:
    """Profiles are ignored, as open_clip ignores them."""
    image, kind = shapes(draw), draw.choice(["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(draw.choice(["sRGB", "LAB"]))).tobytes()
    return good(saved(image, kind, icc_profile=draw.choice([profile, profile[:99]])), image, 3)


def without_end_marker(draw: Draw) -> dict[str, Any]:
    image = shapes(draw)
    data = saved(image, "JPEG", progressive=draw.random() < 0.5)
    return good(data[: -draw.randint(1, 2)], image, 3)


def with_something_behind(draw: Draw) -> dict[str, Any]:
    """A picture and an archive, a page or a script at once; a film behind a phone's picture."""
    image, kind = shapes(draw), draw.choice(["JPEG", "PNG", "GIF", "WEBP", "BMP"])
    archive, scans = b"PK\x03\x04" + bytes(200), b"\xff\xda" * 300
    rest = draw.choice([archive, b"<script>alert(1)</script>", scans, draw.randbytes(500)])
    return good(saved(image, kind) + rest, image, 10 if kind == "GIF" else 3)


def with_a_page_in_its_comment(draw: Draw) -> dict[str, Any]:
    image = shapes(draw)
    page = b"<!doctype html><svg onload=alert(1)>\xff\xd8\xff" + draw.randbytes(draw.randint(0, 200))
    data = saved(image, "JPEG")
    return good(data[:2] + b"\xff\xfe" + struct.pack(">H", len(page) + 2) + page + data[2:], image, 3)


def variant(draw: Draw) -> dict[str, Any]:
    image = shapes(draw)
    kind, options = draw.choice(
        [
            ("TIFF", {"compression": "tiff_lzw"}),
            ("TIFF", {"compression": "tiff_adobe_deflate", "big_tiff": True}),
            ("TIFF", {"compression": "jpeg", "quality": 95}),
            ("TIFF", {"compression": "packbits"}),
            ("PNG", {"optimize": True}),
            ("JPEG", {"subsampling": "4:1:1"}),
            ("JPEG", {"restart_marker_rows": 1}),
            ("JPEG", {"keep_rgb": True}),
            ("WEBP", {"lossless": True}),
        ]
    )
    return good(saved(image, kind, **options), image, 5 if kind == "JPEG" or "quality" in options else 0.6)


def grey_in_many_ways(draw: Draw) -> dict[str, Any]:
    image = shapes(draw).convert("L")
    kind = draw.choice(["PNG", "TIFF", "BMP", "GIF", "JPEG", "WEBP"])
    return good(saved(image, kind), image, 4 if kind in LOSSY else 0.6)


# What nobody can see


def cut(draw: Draw) -> dict[str, Any]:
    kind, data = any_file(draw)
    last = len(data) - 3 if kind == "JPEG" else int(0.7 * len(data))
    return bad(data[: draw.randint(1, last)])


def progressive_cut(draw: Draw) -> dict[str, Any]:
    data = saved(shapes(draw), "JPEG", progressive=True)
    return bad(data[: draw.randint(1, len(data) - 3)])


def wrong_magic(draw: Draw) -> dict[str, Any]:
    _, data = any_file(draw)
    return bad(draw.choice([b"", b"\0\0\0\0", b" ", b"\xff\xd8", b"\xef\xbb\xbf"]) + data[draw.randint(5, 12) :])


def huge_header(draw: Draw) -> dict[str, Any]:
    side = draw.randint(8_000, 60_000)
    kind = draw.choice(["JPEG", "PNG", "GIF", "BMP", "TIFF"])
    data = bytearray(saved(shapes(draw), "JPEG" if kind == "JPEG" else kind))
    if kind == "PNG":
        return bad(png(side, side, rows=draw.randbytes(500)))
    if kind == "JPEG":
        at = frame_header(bytes(data)) + 5
        data[at : at + 4] = struct.pack(">HH", side, side)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", side, draw.choice([-1, 1]) * side)
    else:
        directory = struct.unpack_from("<L", data, 4)[0] + 2
        for number in range(2):  # width and length are the first tags
            struct.pack_into("<HHLL", data, directory + 12 * number, 256 + number, 4, 1, side)
    return bad(bytes(data))


def noise(draw: Draw) -> dict[str, Any]:
    return bad(b"\x01" + draw.randbytes(draw.choice([0, 1, 10, 1_000, 20_000])))


def zeros(draw: Draw) -> dict[str, Any]:
    return bad(bytes(draw.choice([0, 1, 10, 1_000, 20_000])))


def magic_and_noise(draw: Draw) -> dict[str, Any]:
    begins = [b"\xff\xd8\xff\x00", PNG_SIGNATURE, b"RIFF\x10\0\0\0WEBP", b"GIF89a", b"BM" + bytes(12) + b"\x28\0\0\0"]
    magic = draw.choice([*begins, b"II*\0", b"MM\0*", b"II+\0", b"\0\0\0\x18ftypavif", b"\0\0\0\x18ftypheic"])
    return either(magic + draw.randbytes(draw.choice([0, 4, 50, 2_000])))


def behind_something_else(draw: Draw) -> dict[str, Any]:
    _, data = any_file(draw)
    return bad(draw.choice([b"%PDF-1.4\n", b"<html>", b"PK\x03\x04", b"\n", b"data:image/png;base64,"]) + data)


# Damage: shown or refused


def flipped_bytes(draw: Draw) -> dict[str, Any]:
    _, data = any_file(draw)
    damaged = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        damaged[draw.randrange(4, len(damaged))] = draw.randrange(256)
    return either(bytes(damaged))


def spliced(draw: Draw) -> dict[str, Any]:
    (_, one), (_, other) = any_file(draw), any_file(draw)
    return either(one[: draw.randrange(len(one))] + other[draw.randrange(len(other)) :])


def doubled_or_dropped_part(draw: Draw) -> dict[str, Any]:
    _, data = any_file(draw)
    first, last = sorted(draw.choices(range(8, len(data)), k=2))
    return either(data[:last] + data[first:] if draw.random() < 0.5 else data[:first] + data[last:])


def png_of_odd_chunks(draw: Draw) -> dict[str, Any]:
    data = saved(shapes(draw), "PNG")
    name = draw.choice(
        ["tRNS", "PLTE", "gAMA", "iCCP", "eXIf", "acTL", "fcTL", "IHDR", "IEND", "zTXt", "abcd"]
    ).encode()
    return either(data[:33] + chunk(name, draw.randbytes(draw.randint(0, 40))) + data[33:])


MAKERS: tuple[Callable[[Draw], dict[str, Any]], ...] = (
    *(of_every_size, one_pixel, turned_by_exif, cmyk_by_adobe, cmyk_without_adobes_marker, sixteen_bits),
    *(on_transparent_ground, palette_with_an_alpha_for_each_colour, animated, progressive, arithmetic),
    *(with_a_colour_profile, without_end_marker),
    *(with_something_behind, with_a_page_in_its_comment, variant, grey_in_many_ways),
    *(cut, cut, progressive_cut, wrong_magic, huge_header, noise, zeros, magic_and_noise, behind_something_else),
    *(flipped_bytes, flipped_bytes, spliced, doubled_or_dropped_part, png_of_odd_chunks),
)
