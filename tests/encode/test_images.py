"""The decoder against open_clip's pipeline: `Image.open`, then its evaluation transform."""

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
from PIL import Image, ImageFile

from stream_adapter.encode.images import ImageDecoder
from stream_adapter.errors import UndecodableImage
from tests.picture_files import encoded, jpeg_declaring, picture, png, soft_shapes
from tests.shared_data import shared

TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
CONFIG = PreprocessCfg(size=224)


def decoder(**limits: int) -> ImageDecoder:
    return ImageDecoder(CONFIG, **{"max_pixels": 50_000_000, "max_bytes": 20_000_000, **limits})


def by_open_clip(data: bytes) -> np.ndarray:
    """What open_clip's transform makes of a file, taken back to grey levels: float (3, H, W)."""
    normalised = image_transform_v2(CONFIG, is_train=False)(Image.open(io.BytesIO(data)))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CONFIG.mean, CONFIG.std))
    return ((normalised * std + mean) * 255).numpy()


def assert_as_open_clip(data: bytes, content_type: str = "") -> None:
    ours = decoder()(data, content_type)
    assert ours.dtype == np.uint8
    assert ours.shape == (3, 224, 224)
    assert np.abs(ours - by_open_clip(data)).max() <= 2.01


MODES = {
    "JPEG": ("RGB", "L", "1", "CMYK"),
    "PNG": ("RGB", "L", "LA", "RGBA", "P", "1"),
    "WEBP": ("RGB", "RGBA"),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
@pytest.mark.parametrize(("height", "width"), [(300, 400), (100, 60)])
def test_every_format_and_colour_mode_equals_open_clip(kind: str, mode: str, height: int, width: int) -> None:
    assert_as_open_clip(picture(kind, height, width, mode), TYPES[kind])


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"keep_rgb": True}])
def test_jpeg_variants_equal_open_clip(options: dict[str, object]) -> None:
    assert_as_open_clip(picture("JPEG", 300, 400, **options))


def test_a_transparent_background_is_black_whatever_colour_hides_there() -> None:
    image = soft_shapes(300, 300).convert("RGBA")
    alpha = np.zeros((300, 300), np.uint8)
    alpha[100:200, 100:200] = 255
    image.putalpha(Image.fromarray(alpha))
    assert_as_open_clip(encoded(image, "PNG"))


@pytest.mark.data
def test_real_pictures_equal_open_clip() -> None:
    files = sorted(shared("pacs_images").glob("*/*/*.jpg"))[::21]
    assert len(files) >= 30
    for file in files:
        assert_as_open_clip(file.read_bytes(), "image/jpeg")


def test_exif_orientation_is_ignored_as_open_clip_ignores_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    turned = picture("JPEG", 300, 400, exif=exif)
    assert_as_open_clip(turned)
    np.testing.assert_array_equal(decoder()(turned), decoder()(picture("JPEG", 300, 400)))


def test_sixteen_bit_grey_keeps_its_shades() -> None:
    shades = np.linspace(0, 65535, 300 * 300).reshape(300, 300).astype(np.uint16)
    ours = decoder()(encoded(Image.fromarray(shades), "PNG"))
    eight_bit = decoder()(encoded(Image.fromarray((shades >> 8).astype(np.uint8)), "PNG"))
    np.testing.assert_array_equal(ours, eight_bit)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    first, second = soft_shapes(300, 300), soft_shapes(300, 301).resize((300, 300))
    animated = encoded(first, kind, save_all=True, append_images=[second], duration=100, lossless=True)
    alone = encoded(first, kind, lossless=True)
    assert len(animated) > len(alone)
    np.testing.assert_array_equal(decoder()(animated), decoder()(alone))


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


@pytest.mark.parametrize(
    "content_type", ["image/jpeg", "IMAGE/JPEG", "image/jpg", "image/jpeg; q=1", "", "application/octet-stream"]
)
def test_content_types_that_agree_or_say_nothing(content_type: str) -> None:
    assert decoder()(picture("JPEG"), content_type).shape == (3, 224, 224)


def test_a_contradicting_content_type_is_refused_with_both() -> None:
    with pytest.raises(UndecodableImage, match="says 'image/png', the bytes are a JPEG picture"):
        decoder()(picture("JPEG"), "image/png")


@pytest.mark.parametrize("kind", TYPES)
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


def test_a_jpeg_without_its_end_marker_is_refused_and_says_truncated() -> None:
    with pytest.raises(UndecodableImage, match="128 × 96 pixels is truncated"):
        decoder()(picture("JPEG")[:-2])
    with pytest.raises(UndecodableImage, match="is truncated"):
        decoder()(jpeg_declaring(200, 128))


def test_many_threads_get_the_same_pixels_and_no_global_state_changes() -> None:
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, torch.get_num_threads())
    files = [picture(kind, 200 + 10 * i, 300) for i in range(4) for kind in TYPES]
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


SOUND = [picture(kind, 40, 50) for kind in TYPES]


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
