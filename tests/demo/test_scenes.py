import numpy as np
import pytest

from stream_adapter.demo.scenes import DEMO_CLASSES, class_scene


@pytest.mark.parametrize("name", DEMO_CLASSES)
def test_scene_of_a_class(name: str) -> None:
    rng = np.random.default_rng(1)
    scenes = [class_scene(name, rng) for _ in range(50)]
    assert {scene.class_name for scene in scenes} == {name}
    assert len({scene.texture for scene in scenes}) > 1
    assert len({scene.count for scene in scenes}) > 1
    assert len({scene.background for scene in scenes}) > 1


@pytest.mark.parametrize("name", ["red", "star", "star red", "mauve star", "red  star", ""])
def test_unknown_class_is_named_in_the_error(name: str) -> None:
    with pytest.raises(ValueError, match=f"no such class: {name!r}"):
        class_scene(name, np.random.default_rng(0))
