"""Bytes to pixels: pictures of many formats decoded, turned upright, resized and cropped; hostile files refused.

Pictures come out as open_clip's evaluation transform would make them before normalisation, within two grey levels, of
the picture that a person sees: turned as its EXIF says (`ImageOps.exif_transpose`), on white where it is transparent,
in RGB, and of an animation or a document the first frame. Colour profiles are ignored, as open_clip ignores them.
16-bit grey is scaled to 8 bits, where Pillow would clip it to white, and very large JPEGs are decoded at a reduced
scale.
"""

import functools
import io
import warnings

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg
from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
    features,
)

from stream_adapter.encode import jpeg
from stream_adapter.encode.base import Pixels
from stream_adapter.encode.geometry import Geometry
from stream_adapter.encode.limits import check_parts
from stream_adapter.errors import UndecodableImage
from stream_adapter.events.formats import (
    AVIF,
    FORMATS,
    HEIC,
    JPEG,
    PictureFormat,
    looks_like,
    picture_format,
)

# A picture twice as wide as another costs twice as much once its short side is resized, without limit: 1 × 65535
# pixels would become 224 × 14.7 million.
_MAX_ASPECT = 200

# Each scan of a progressive JPEG passes over the whole picture, and may be a few bytes. Encoders write about ten.
_MAX_SCANS = 100

# Segments before the first scan that are looked through; a file as long as `max_bytes` may hold millions of empty ones.
_MAX_SEGMENTS = 1_000

# JPEGs are decoded at a reduced scale only where the short side stays at least this long, and three times the model's.
# Reduced by averaging blocks, hard edges then differ by more than two levels (mean 0.3; cosine of the vectors 0.9998).
_SCALED_MIN = 448
_SCALED_FACTOR = 3

# Pillow warns about what is odd in somebody's file; Python would write each new text to stderr and keep it for ever.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Pillow loads all its plugins, one by one, where it does not know a format; these are not among those it begins with.
_PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)


class ImageDecoder:
    """Decodes pictures to a model's size. Holds no state: one serves all threads.

    Args:
        max_pixels: pictures that declare more are refused before they are decoded.
        max_bytes: longer files are refused.
        exif_orientation: whether pictures are turned as their EXIF says. TIFF, AVIF and HEIC always are: there it is
            part of the format.
    """

    def __init__(
        self, preprocess: PreprocessCfg, *, max_pixels: int, max_bytes: int, exif_orientation: bool = True
    ) -> None:
        self._geometry = Geometry.of(preprocess)
        self._max_pixels = max_pixels
        self._max_bytes = max_bytes
        self._exif_orientation = exif_orientation
        self._scaled_min = max(_SCALED_MIN, _SCALED_FACTOR * max(self._geometry.size))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        return self._geometry.size

    def __call__(self, data: bytes, content_type: str = "") -> Pixels:
        """Decode, resize and crop one picture.

        Args:
            data: the file's bytes, which alone decide what it is.
            content_type: what the event says they are, for messages.

        Returns:
            uint8 (3, H, W) of the model's size.

        Raises:
            UndecodableImage: too long, not a picture, more pixels than allowed, truncated or broken; the message names
                the figures.
        """
        if len(data) > self._max_bytes:
            raise UndecodableImage(
                f"the file has {len(data):,} bytes, more than the limit of {self._max_bytes:,} (`encoder.max_bytes`)"
            )
        if not data:
            raise UndecodableImage("the file is empty: 0 bytes")
        kind = picture_format(data)
        if kind is None:
            known = ", ".join(known.name for known in FORMATS)
            declared = f", declared as {content_type!r}" if content_type else ""
            raise UndecodableImage(
                f"not a picture that can be read ({known}): {len(data):,} bytes that begin with {data[:8]!r} "
                f"({looks_like(data)}){declared}"
            )
        return self._jpeg(data) if kind is JPEG else self._pillow(data, kind)

    def _jpeg(self, data: bytes) -> Pixels:
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError:
            return self._pillow(data, JPEG)  # unusual sampling factors, or broken: Pillow tells them apart
        self._check_shape(JPEG, height, width)
        if data.count(b"\xff\xda") > _MAX_SCANS and (scans := jpeg.scans(data)) > _MAX_SCANS:
            raise UndecodableImage(
                f"the JPEG picture has {scans} scans over {width} × {height} pixels; more than {_MAX_SCANS} are refused"
            )
        try:
            picture, data = self._whole(data, f"{width} × {height} pixels")
        except ValueError:
            return self._pillow(data, JPEG)  # damaged where every viewer still shows a whole picture
        if colours in ("CMYK", "YCCK"):
            return self._pillow(data, JPEG)  # whole, but its colours are a matter of convention: Pillow's
        header = jpeg.header_segments(data, _MAX_SEGMENTS) if self._exif_orientation else []
        return self._geometry.apply(picture, jpeg.orientation(header))

    def _whole(self, data: bytes, size: str) -> tuple[NDArray[np.uint8], bytes]:
        """Decode a JPEG, strictly: Pillow would fill what is missing with grey and say nothing.

        Returns:
            uint8 (H, W, 3), and the file, with its end marker where that alone was missing.

        Raises:
            UndecodableImage: it is truncated.
            ValueError: it is damaged in another way.
        """
        try:
            return self._decoded(data), data
        except ValueError as error:
            if "premature end" not in str(error).lower():
                raise
            try:
                ended = data + jpeg.END
                picture = self._decoded(ended)
                if jpeg.is_whole(ended):
                    return picture, ended
            except ValueError:
                pass
            raise UndecodableImage(
                f"the JPEG picture of {size} is truncated after {len(data):,} bytes: {error}"
            ) from error

    def _decoded(self, data: bytes) -> NDArray[np.uint8]:
        picture: NDArray[np.uint8] = simplejpeg.decode_jpeg(  # (H, W, 3)
            data, min_height=self._scaled_min, min_width=self._scaled_min, min_factor=2
        )
        return picture

    def _pillow(self, data: bytes, kind: PictureFormat) -> Pixels:
        try:
            check_parts(data, kind, self._max_pixels)
            with _open(data, kind) as image:  # reads no more than the header
                self._check_shape(kind, image.height, image.width)
                box = image.tile[0].extents if isinstance(image, GifImagePlugin.GifImageFile) else None
                image.load()
                picture = _as_seen(image, box)  # (H, W, 3)
                # TIFF and HEIC come upright; AVIF's own rotation is given as EXIF.
                upright = self._exif_orientation or kind is AVIF
                orientation = jpeg.image_orientation(image) if upright else 1
        except (UndecodableImage, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise UndecodableImage(f"the {kind.name} picture declares too many pixels for Pillow: {error}") from error
        except UnidentifiedImageError:
            raise UndecodableImage(f"the {kind.name} picture of {len(data):,} bytes has a broken header") from None
        except Exception as error:  # Pillow's parsers raise whatever hostile bytes lead them to
            raise UndecodableImage(
                f"the {kind.name} picture of {len(data):,} bytes cannot be decoded: {error}"
            ) from error
        return self._geometry.apply(picture, orientation)

    def _check_shape(self, kind: PictureFormat, height: int, width: int) -> None:
        pixels = height * width
        if pixels == 0:
            raise UndecodableImage(f"the {kind.name} picture is {width} × {height} pixels: nothing to see")
        if pixels > self._max_pixels:
            raise UndecodableImage(
                f"the {kind.name} picture declares {width} × {height} = {pixels:,} pixels, more than the limit of "
                f"{self._max_pixels:,} (`encoder.max_pixels`)"
            )
        if max(height, width) > _MAX_ASPECT * min(height, width):
            raise UndecodableImage(
                f"the {kind.name} picture is {width} × {height} pixels; one side is more than {_MAX_ASPECT} times the "
                "other"
            )


def _open(data: bytes, kind: PictureFormat) -> Image.Image:
    """Pillow's image, of which only the header is read."""
    if kind is HEIC and not _heic_readable():
        raise UndecodableImage(
            "HEIC pictures need the package pillow-heif, which is not installed: install stream-adapter[heic], or send "
            "JPEG, PNG, WebP or AVIF"
        )
    if kind is AVIF and not features.check("avif"):
        raise UndecodableImage("this build of Pillow reads no AVIF pictures: install a wheel from PyPI, or send JPEG")
    return Image.open(io.BytesIO(data), formats=(kind.pillow,))


@functools.cache
def _heic_readable() -> bool:
    """Whether the optional package is there; teaches Pillow to read HEIC."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _as_seen(image: Image.Image, box: tuple[int, int, int, int] | None) -> NDArray[np.uint8]:
    """A decoded picture as a person sees it, but for its orientation: uint8 (H, W, 3).

    Args:
        image: loaded.
        box: left, top, right and bottom of what there is of it, None where that is all.
    """
    if image.mode.startswith("I;16"):
        image = _eight_bits(image)
    elif image.mode in ("I", "F"):
        raise UndecodableImage(
            f"the {image.format} picture of {image.width} × {image.height} pixels has 32-bit values, of which nothing "
            "says what is black and what is white; send it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return np.array(white)
    picture = np.array(image.convert("RGB"))
    if box is None or box == (0, 0, *image.size):
        return picture
    left, top, right, bottom = box  # Pillow fills what a GIF's first frame leaves out with some colour
    seen = np.full_like(picture, 255)
    seen[top:bottom, left:right] = picture[top:bottom, left:right]
    return seen


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey by its high byte; Pillow itself would clip everything above 255 to white."""
    shades = (np.asarray(image) >> 8).astype(np.uint8)  # (H, W)
    tags = getattr(image, "tag_v2", {})  # of a TIFF, where 0 may be white; Pillow heeds that up to 8 bits
    inverted = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    return Image.fromarray(~shades if inverted else shades)
