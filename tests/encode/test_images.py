"""The decoder against open_clip's evaluation transform of the picture that a person sees."""

import io
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image, ImageFile, ImageOps

from stream_adapter.encode.images import ImageDecoder
from stream_adapter.errors import UndecodableImage
from tests.picture_files import encoded, picture, png, soft_shapes
from tests.shared_data import shared

TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
CONFIG = PreprocessCfg(size=224)


def decoder(**options: int) -> ImageDecoder:
    return ImageDecoder(CONFIG, **{"max_pixels": 50_000_000, "max_bytes": 20_000_000, **options})


def as_seen(data: bytes) -> Image.Image:
    """What a viewer shows of a file, by Pillow alone."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def by_open_clip(data: bytes) -> np.ndarray:
    """What open_clip's transform makes of what is seen, taken back to grey levels: float (3, H, W)."""
    normalised = image_transform_v2(CONFIG, is_train=False)(as_seen(data))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CONFIG.mean, CONFIG.std))
    return ((normalised * std + mean) * 255).numpy()


def assert_as_open_clip(data: bytes, content_type: str = "") -> None:
    ours = decoder()(data, content_type)
    assert ours.dtype == np.uint8
    assert ours.shape == (3, 224, 224)
    assert np.abs(ours - by_open_clip(data)).max() <= 2.01


MODES = {
    "JPEG": ("RGB", "L", "1", "CMYK", "YCbCr"),
    "PNG": ("RGB", "L", "LA", "RGBA", "P", "1"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("RGB", "L", "P", "1", "RGBA"),
    "BMP": ("RGB", "L", "P", "1", "RGBA"),
    "TIFF": ("RGB", "L", "LA", "RGBA", "P", "1", "CMYK", "YCbCr"),
    "AVIF": ("RGB", "RGBA"),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
@pytest.mark.parametrize(("height", "width"), [(300, 400), (100, 60)])
def test_every_format_and_colour_mode_equals_open_clip(kind: str, mode: str, height: int, width: int) -> None:
    assert_as_open_clip(picture(kind, height, width, mode), TYPES.get(kind, ""))


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"keep_rgb": True}])
def test_jpeg_variants_equal_open_clip(options: dict[str, object]) -> None:
    assert_as_open_clip(picture("JPEG", 300, 400, **options))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_tiff_variants_equal_open_clip(compression: str) -> None:
    assert_as_open_clip(picture("TIFF", 300, 400, compression=compression))
    assert_as_open_clip(picture("TIFF", 300, 400, compression=compression, big_tiff=True))


@pytest.mark.data
def test_real_pictures_equal_open_clip() -> None:
    files = sorted(shared("pacs_images").glob("*/*/*.jpg"))[::21]
    assert len(files) >= 30
    for file in files:
        assert_as_open_clip(file.read_bytes(), "image/jpeg")


def test_sixteen_bit_grey_keeps_its_shades() -> None:
    shades = np.linspace(0, 65535, 300 * 300).reshape(300, 300).astype(np.uint16)
    ours = decoder()(encoded(Image.fromarray(shades), "PNG"))
    eight_bit = decoder()(encoded(Image.fromarray((shades >> 8).astype(np.uint8)), "PNG"))
    np.testing.assert_array_equal(ours, eight_bit)


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_sixteen_bit_grey_of_every_origin(kind: str, white_is_zero: bool) -> None:
    shades = np.linspace(0, 65535, 300 * 300).reshape(300, 300).astype(np.uint16)
    options = {"tiffinfo": {262: 0}} if white_is_zero and kind == "TIFF" else {}
    ours = decoder()(encoded(Image.fromarray(shades), kind, **options)).astype(int)
    black_first = ours[:, 0].mean() < ours[:, -1].mean()
    assert black_first != bool(options)
    assert ours.min() <= 1
    assert ours.max() >= 254


@pytest.mark.parametrize("mode", ["I", "F"])
def test_values_without_a_black_and_a_white_are_refused(mode: str) -> None:
    with pytest.raises(UndecodableImage, match=r"400 × 300 pixels has 32-bit values.*8 or 16 bits"):
        decoder()(encoded(soft_shapes(300, 400).convert(mode), "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF", "AVIF"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    first, second = soft_shapes(300, 300), soft_shapes(300, 301).resize((300, 300))
    options = {"TIFF": {}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}.get(kind, {"lossless": True})
    animated = encoded(first, kind, save_all=True, append_images=[second], duration=100, **options)
    alone = encoded(first, kind, **options)
    assert len(animated) > len(alone)
    np.testing.assert_allclose(decoder()(animated).astype(int), decoder()(alone), atol=2 if kind == "AVIF" else 0)


@pytest.mark.parametrize("size", [(700, 5_000), (1_340, 2_000)])
def test_a_jpeg_below_the_limit_of_scaled_decoding_is_exact(size: tuple[int, int]) -> None:
    assert_as_open_clip(picture("JPEG", *size))


def test_a_very_large_jpeg_decoded_at_a_scale_stays_near_open_clip() -> None:
    data = picture("JPEG", 2_700, 3_600)
    difference = np.abs(decoder()(data) - by_open_clip(data))
    assert difference.mean() < 0.5
    assert difference.max() <= 2.01  # soft shapes; hard edges may differ more


def test_what_phones_append_to_a_jpeg_does_no_harm() -> None:
    data = picture("JPEG", 300, 400)
    scans = b"\xff\xda" * 500  # a film behind the picture may hold any bytes
    np.testing.assert_array_equal(decoder()(data + scans), decoder()(data))


def test_a_progressive_jpeg_of_usual_scans_passes() -> None:
    data = picture("JPEG", 300, 400, progressive=True)
    assert data.count(b"\xff\xda") > 5
    assert_as_open_clip(data)


def test_a_damaged_jpeg_that_every_viewer_shows_passes() -> None:
    data = picture("JPEG", 300, 400)
    at = data.rfind(b"\xff\xd9")
    assert_as_open_clip(data[:at] + bytes(200) + data[at:])  # "extraneous bytes before marker"


@pytest.mark.parametrize("kind", MODES)
def test_the_content_type_changes_nothing(kind: str) -> None:
    data = picture(kind)
    expected = decoder()(data)
    for content_type in ("image/jpeg", "image/png", "image/*", "application/octet-stream", "text/html", "", "\x00é"):
        np.testing.assert_array_equal(decoder()(data, content_type), expected)


def test_what_is_no_picture_is_refused_with_what_it_was_declared_as() -> None:
    with pytest.raises(UndecodableImage, match=r"not a picture.*JPEG.*looks like HTML.*declared as 'image/jpeg'"):
        decoder()(b"<html>404</html>", "image/jpeg")


@pytest.mark.parametrize("kind", MODES)
def test_the_limits_are_inclusive_and_name_their_key(kind: str) -> None:
    data = picture(kind, 100, 200)
    assert decoder(max_pixels=20_000, max_bytes=len(data))(data).shape == (3, 224, 224)
    with pytest.raises(UndecodableImage, match=r"200 × 100 = 20,000 pixels.*19,999.*encoder\.max_pixels"):
        decoder(max_pixels=19_999)(data)
    with pytest.raises(UndecodableImage, match=rf"{len(data):,} bytes.*encoder\.max_bytes"):
        decoder(max_bytes=len(data) - 1)(data)


def test_pillows_own_limit_stays_on_where_ours_is_higher() -> None:
    with pytest.raises(UndecodableImage, match="too many pixels for Pillow"):
        decoder(max_pixels=10**12)(png(30_000, 30_000))


def test_pillows_warning_about_large_pictures_is_a_refusal_too_where_warnings_are_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UndecodableImage):
            decoder()(png(10_000, 10_000))


def test_lack_of_memory_is_not_the_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", no_memory)
    with pytest.raises(MemoryError):
        decoder()(picture("PNG"))


def test_many_threads_get_the_same_pixels_and_no_global_state_changes() -> None:
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, torch.get_num_threads())
    files = [picture(kind, 200 + 10 * i, 300) for i in range(2) for kind in MODES]
    decode = decoder()
    alone = [decode(data) for data in files]
    barrier = threading.Barrier(8)

    def work(_: int) -> list[np.ndarray]:
        barrier.wait()
        return [decode(data) for data in files]

    with ThreadPoolExecutor(8) as pool:
        for together in pool.map(work, range(8)):
            for expected, got in zip(alone, together, strict=True):
                np.testing.assert_array_equal(got, expected)
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, torch.get_num_threads()) == before
    assert before[0] is False


SOUND = [picture(kind, 40, 50) for kind in MODES]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_refused_or_decoded_and_nothing_else(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(SOUND)))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)))
    try:
        pixels = decoder()(bytes(damaged[:end]))
    except UndecodableImage as error:
        assert str(error)
    else:
        assert pixels.shape == (3, 224, 224)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_decoded_and_nothing_else(data: bytes) -> None:
    with pytest.raises(UndecodableImage):
        decoder()(data)
