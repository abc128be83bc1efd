"""Against open_clip's own evaluation transform, whose stages before the tensor are the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image, ImageOps

from stream_adapter.encode.geometry import Geometry
from tests.picture_files import soft_shapes


def reference(image: Image.Image, config: PreprocessCfg) -> np.ndarray:
    """open_clip's resized and cropped picture, (3, H, W)."""
    for stage in image_transform_v2(config, is_train=False).transforms[:-3]:
        image = stage(image)
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def difference(ours: np.ndarray, theirs: np.ndarray) -> int:
    assert ours.shape == theirs.shape
    assert ours.dtype == np.uint8
    return int(np.abs(ours.astype(int) - theirs.astype(int)).max())


CONFIGS = {
    "shortest": PreprocessCfg(size=64),
    "shortest, bilinear": PreprocessCfg(size=64, interpolation="bilinear"),
    "shortest, oblong": PreprocessCfg(size=(48, 80)),
    "shortest, oblong, bilinear": PreprocessCfg(size=(48, 80), interpolation="bilinear"),
    "longest": PreprocessCfg(size=64, resize_mode="longest", fill_color=7),
    "longest, oblong": PreprocessCfg(size=(48, 80), resize_mode="longest"),
    "squash": PreprocessCfg(size=64, resize_mode="squash"),
    "squash, oblong": PreprocessCfg(size=(48, 80), resize_mode="squash", interpolation="bilinear"),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@settings(max_examples=25, deadline=None)
@given(height=st.integers(16, 300), width=st.integers(16, 300))  # 9 pixels in a row are noise: 3 levels at 157 × 9
def test_every_mode_equals_open_clip_within_two_grey_levels(config: PreprocessCfg, height: int, width: int) -> None:
    image = soft_shapes(height, width)
    assert difference(Geometry.of(config).apply(np.array(image)), reference(image, config)) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize(("height", "width"), [(90, 131), (131, 90), (64, 64), (48, 80)])
def test_turned_upright_it_equals_open_clip_on_what_pillow_turns(
    config: PreprocessCfg, orientation: int, height: int, width: int
) -> None:
    image = soft_shapes(height, width)
    image.getexif()[0x0112] = orientation
    ours = Geometry.of(config).apply(np.array(image), orientation)
    assert difference(ours, reference(ImageOps.exif_transpose(image), config)) <= 2


def test_hard_edges_and_noise_stay_within_two_grey_levels() -> None:
    noise = np.random.default_rng(3).integers(0, 2, (301, 203, 3), dtype=np.uint8) * 255
    config = PreprocessCfg(size=224)
    assert difference(Geometry.of(config).apply(noise), reference(Image.fromarray(noise), config)) <= 2


def test_a_picture_of_the_models_size_is_not_touched() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Geometry.of(CONFIGS["shortest"]).apply(picture), picture.transpose(2, 0, 1))


def test_a_side_never_shrinks_to_nothing() -> None:
    assert Geometry.of(CONFIGS["longest"]).resized(1, 199) == (1, 64)
