"""Bytes to pixels: JPEG, PNG and WebP decoded, resized and cropped, hostile files refused.

Pictures come out as open_clip's own pipeline (`Image.open`, then its evaluation transform) would make them before
normalisation, within two grey levels. Like that pipeline, EXIF orientation and colour profiles are ignored, and of an
animation the first frame is taken. Two differences are meant: 16-bit grey is scaled to 8 bits, where Pillow would
clip it to white, and very large JPEGs are decoded at a reduced scale.
"""

import io
import re

import numpy as np
import simplejpeg
from open_clip.transform import PreprocessCfg
from PIL import Image, UnidentifiedImageError

from stream_adapter.encode.base import Pixels
from stream_adapter.encode.geometry import Geometry
from stream_adapter.errors import UndecodableImage

# A picture twice as wide as another costs twice as much once its short side is resized, without limit: 1 × 65535
# pixels would become 224 × 14.7 million.
_MAX_ASPECT = 200

# Each scan of a progressive JPEG passes over the whole picture, and may be a few bytes. Encoders write about ten.
_MAX_SCANS = 100

# JPEGs are decoded at a reduced scale only where the short side stays at least this long, and three times the model's.
# Reduced by averaging blocks, hard edges then differ by more than two levels (mean 0.3; cosine of the vectors 0.9998).
_SCALED_MIN = 448
_SCALED_FACTOR = 3

_SIGNATURES = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WebP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
}
# Only to say what it is instead.
_OTHER_SIGNATURES = {
    "GIF": re.compile(rb"GIF8[79]a"),
    "TIFF": re.compile(rb"II\*\x00|MM\x00\*"),
    "BMP": re.compile(rb"BM.{4}\x00{4}", re.DOTALL),
    "AVIF or HEIC": re.compile(rb".{4}ftyp(avi|hei|hev|mif)", re.DOTALL),
    "PDF": re.compile(rb"\s*%PDF-"),
    "ZIP": re.compile(rb"PK\x03\x04"),
    "gzip": re.compile(rb"\x1f\x8b"),
    "SVG": re.compile(rb"\s*(<\?xml[^>]*>\s*)?<svg", re.IGNORECASE),
    "HTML": re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE),
    "JSON": re.compile(rb"\s*[{\[]\s*[\"{\[\]}0-9]"),
}
_CONTENT_TYPES = {
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/pjpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WebP",
}
_SAYS_NOTHING = {"", "application/octet-stream"}

_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # not stuffing and not a restart: a segment of a JPEG
_END, _START_OF_SCAN = 0xD9, 0xDA


class ImageDecoder:
    """Decodes pictures to a model's size. Holds no state: one serves all threads.

    Args:
        preprocess: open_clip's preprocessing configuration of the model.
        max_pixels: pictures that declare more are refused before they are decoded.
        max_bytes: longer files are refused.
    """

    def __init__(self, preprocess: PreprocessCfg, *, max_pixels: int, max_bytes: int) -> None:
        self._geometry = Geometry.of(preprocess)
        self._max_pixels = max_pixels
        self._max_bytes = max_bytes
        self._scaled_min = max(_SCALED_MIN, _SCALED_FACTOR * max(self._geometry.size))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        return self._geometry.size

    def __call__(self, data: bytes, content_type: str = "") -> Pixels:
        """Decode, resize and crop one picture.

        Args:
            data: the file's bytes.
            content_type: what the event says they are; empty or `application/octet-stream` says nothing.

        Returns:
            uint8 (3, H, W) of the model's size.

        Raises:
            UndecodableImage: too long, not a picture, not the picture that the content type says, more pixels than
                allowed, truncated or broken; the message names the figures.
        """
        if len(data) > self._max_bytes:
            raise UndecodableImage(
                f"the file has {len(data):,} bytes, more than the limit of {self._max_bytes:,} (`encoder.max_bytes`)"
            )
        kind = _kind(data, content_type)
        return self._jpeg(data) if kind == "JPEG" else self._pillow(data, kind)

    def _jpeg(self, data: bytes) -> Pixels:
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError:
            return self._pillow(data, "JPEG")  # unusual sampling factors, or broken: Pillow tells them apart
        self._check_shape("JPEG", height, width)
        if data.count(b"\xff\xda") > _MAX_SCANS and (scans := _scans(data)) > _MAX_SCANS:
            raise UndecodableImage(
                f"the JPEG picture has {scans} scans over {width} × {height} pixels; more than {_MAX_SCANS} are refused"
            )
        try:
            picture = simplejpeg.decode_jpeg(  # (H, W, 3)
                data, min_height=self._scaled_min, min_width=self._scaled_min, min_factor=2
            )
        except ValueError as error:
            # Pillow would fill what is missing with grey and say nothing, where an end marker was put behind it.
            if "premature end" in str(error).lower():
                raise UndecodableImage(
                    f"the JPEG picture of {width} × {height} pixels is truncated after {len(data):,} bytes: {error}"
                ) from error
            return self._pillow(data, "JPEG")  # damaged where every viewer still shows a whole picture
        if colours in ("CMYK", "YCCK"):
            return self._pillow(data, "JPEG")  # whole, but its colours are a matter of convention: Pillow's
        return self._geometry.apply(picture)

    def _pillow(self, data: bytes, kind: str) -> Pixels:
        try:
            with Image.open(io.BytesIO(data), formats=(kind,)) as image:  # reads no more than the header
                self._check_shape(kind, image.height, image.width)
                image.load()
        except (UndecodableImage, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise UndecodableImage(f"the {kind} picture declares too many pixels for Pillow: {error}") from error
        except UnidentifiedImageError:
            raise UndecodableImage(f"the {kind} picture of {len(data):,} bytes has a broken header") from None
        except Exception as error:  # Pillow's parsers raise whatever hostile bytes lead them to
            raise UndecodableImage(f"the {kind} picture of {len(data):,} bytes cannot be decoded: {error}") from error
        if image.mode == "RGB":
            return self._geometry.apply(np.array(image))  # (H, W, 3)
        return self._geometry.apply_pillow(_eight_bits(image))

    def _check_shape(self, kind: str, height: int, width: int) -> None:
        pixels = height * width
        if pixels == 0:
            raise UndecodableImage(f"the {kind} picture is {width} × {height} pixels: nothing to see")
        if pixels > self._max_pixels:
            raise UndecodableImage(
                f"the {kind} picture declares {width} × {height} = {pixels:,} pixels, more than the limit of "
                f"{self._max_pixels:,} (`encoder.max_pixels`)"
            )
        if max(height, width) > _MAX_ASPECT * min(height, width):
            raise UndecodableImage(
                f"the {kind} picture is {width} × {height} pixels; one side is more than {_MAX_ASPECT} times the other"
            )


def _kind(data: bytes, content_type: str) -> str:
    """JPEG, PNG or WebP, by the first bytes; the content type may keep silent but not contradict.

    Raises:
        UndecodableImage: something else, or contradicted.
    """
    if not data:
        raise UndecodableImage("the file is empty: 0 bytes")
    kind = next((kind for kind, signature in _SIGNATURES.items() if signature.match(data)), None)
    if kind is None:
        other = next((kind for kind, signature in _OTHER_SIGNATURES.items() if signature.match(data)), None)
        guess = f"looks like {other}" if other else "no known signature"
        raise UndecodableImage(
            f"not a JPEG, PNG or WebP picture: {len(data):,} bytes that begin with {data[:8]!r} ({guess})"
        )
    named = content_type.partition(";")[0].strip().lower()
    if named not in _SAYS_NOTHING and _CONTENT_TYPES.get(named) != kind:
        raise UndecodableImage(f"the content type says {named!r}, the bytes are a {kind} picture")
    return kind


def _scans(data: bytes) -> int:
    """Number of scans in a JPEG, up to its end marker: what phones append to pictures is not looked at."""
    at, scans = 2, 0
    while (marker := _MARKER.search(data, at)) and marker[1][0] != _END:
        scans += marker[1][0] == _START_OF_SCAN
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return scans


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey by its high byte; Pillow itself would clip everything above 255 to white."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
