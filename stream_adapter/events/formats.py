"""What a picture file is, told by its first bytes, and the names under which producers declare it."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """A kind of picture file that is decoded; `pillow` is Pillow's name for it."""

    name: str
    media_type: str
    pillow: str


JPEG = PictureFormat("JPEG", "image/jpeg", "JPEG")
PNG = PictureFormat("PNG", "image/png", "PNG")
WEBP = PictureFormat("WebP", "image/webp", "WEBP")
GIF = PictureFormat("GIF", "image/gif", "GIF")
BMP = PictureFormat("BMP", "image/bmp", "BMP")
TIFF = PictureFormat("TIFF", "image/tiff", "TIFF")
AVIF = PictureFormat("AVIF", "image/avif", "AVIF")
HEIC = PictureFormat("HEIC", "image/heic", "HEIF")

FORMATS = (JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIC)

# The first that matches counts. AVIF and HEIC share a container, whose first box lists what can read it.
_SIGNATURES = (
    (JPEG, re.compile(rb"\xff\xd8\xff")),
    (PNG, re.compile(rb"\x89PNG\r\n\x1a\n")),
    (WEBP, re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    (GIF, re.compile(rb"GIF8[79]a")),
    (BMP, re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL)),  # length of its header
    (TIFF, re.compile(rb"II[*+]\x00|MM\x00[*+]")),
    (AVIF, re.compile(rb".{4}ftyp(avi[fs]|(mif1|msf1).{4}(.{4}){0,30}?avi[fs])", re.DOTALL)),
    (HEIC, re.compile(rb".{4}ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)),
)
# Only to say what it is instead.
_OTHER_SIGNATURES = {
    "JPEG 2000": re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51"),
    "JPEG XL": re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL "),
    "a video": re.compile(rb".{4}ftyp|RIFF.{4}AVI |\x1a\x45\xdf\xa3", re.DOTALL),
    "PDF": re.compile(rb"\s*%PDF-"),
    "ZIP": re.compile(rb"PK\x03\x04"),
    "gzip": re.compile(rb"\x1f\x8b"),
    "SVG": re.compile(rb"\s*(<\?xml[^>]*>\s*)?<svg", re.IGNORECASE),
    "HTML": re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE),
    "JSON": re.compile(rb"\s*[{\[]\s*[\"{\[\]}0-9]"),
}

_SAYS_NOTHING = ("application/octet-stream", "binary/octet-stream", "image/*")
_SYNONYMS = {
    "image/jpg": JPEG.media_type,
    "image/pjpeg": JPEG.media_type,
    "image/x-png": PNG.media_type,
    "image/apng": PNG.media_type,
    "image/x-bmp": BMP.media_type,
    "image/x-ms-bmp": BMP.media_type,
    "image/tif": TIFF.media_type,
    "image/heif": HEIC.media_type,
}

OTHER = "other"
FOUND_TYPES = (*(known.media_type for known in FORMATS), OTHER)
"""What `found_type` gives."""

DECLARED_TYPES = (*(known.media_type for known in FORMATS), *_SAYS_NOTHING, OTHER)
"""What `declared_type` gives."""


def picture_format(data: bytes) -> PictureFormat | None:
    """The format whose signature the bytes begin with, or None."""
    return next((known for known, signature in _SIGNATURES if signature.match(data)), None)


def found_type(data: bytes) -> str:
    """The content type of these bytes, one of `FOUND_TYPES`."""
    known = picture_format(data)
    return OTHER if known is None else known.media_type


def declared_type(content_type: str) -> str:
    """A declared content type as one of `DECLARED_TYPES`: synonyms folded, whatever is unknown as `OTHER`."""
    named = _SYNONYMS.get(content_type, content_type)
    return named if named in DECLARED_TYPES else OTHER


def may_be_picture(content_type: str) -> bool:
    """Whether an event of this content type (lower case, without parameters) is looked at as a picture."""
    return content_type.startswith("image/") or content_type in _SAYS_NOTHING


def looks_like(data: bytes) -> str:
    """What bytes that are no picture look like, for a message."""
    other = next((kind for kind, signature in _OTHER_SIGNATURES.items() if signature.match(data)), None)
    return f"looks like {other}" if other else "no known signature"
