"""What the untouched model says over other classes is what it would have said at once."""

import numpy as np
import pytest

from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.mixture.backend import Backend
from stream_adapter.adapter.mixture.other_classes import over_other_classes
from tests.adapter.mixture.streams import NAMES, TEXTS, C, D, stream, unit

SCALE = 20.0
MORE = unit(np.random.default_rng(8).normal(size=(3 * C, D)))
VECTORS = stream(50, 4).vectors
BACKEND = Backend("numpy")


@pytest.mark.parametrize(
    "same",
    [
        pytest.param([*range(C), -1, -1, -1], id="three more"),
        pytest.param([*range(C), *[-1] * (C + 3)], id="more new ones than there were"),
        pytest.param([*range(C - 2)], id="two gone"),
        pytest.param([*range(C)][::-1], id="in another order"),
        pytest.param([-1, *range(1, C)], id="one in another's place"),
        pytest.param([*range(C)], id="the same"),
    ],
)
@pytest.mark.parametrize("scale", [SCALE, 100.0])
def test_it_is_the_softmax_over_the_other_classes(same: list[int], scale: float) -> None:
    texts = np.stack([TEXTS[former] if former >= 0 else MORE[number] for number, former in enumerate(same)])
    names = [NAMES[former] if former >= 0 else f"new {number}" for number, former in enumerate(same)]
    before = BACKEND.softmax(scale * VECTORS @ TEXTS.T)
    classes = Classes(tuple(names), texts, scale)
    after = over_other_classes(before, VECTORS, classes, np.array(same, np.int64), BACKEND)
    np.testing.assert_allclose(after, BACKEND.softmax(scale * VECTORS @ texts.T), atol=2e-6)
    assert after.shape == (len(VECTORS), len(same)) and after.dtype == np.float32


def test_without_events_there_is_nothing() -> None:
    classes = Classes(tuple(NAMES), TEXTS, SCALE)
    none = over_other_classes(
        np.zeros((0, C), np.float32), np.zeros((0, D), np.float32), classes, np.arange(C), BACKEND
    )
    assert none.shape == (0, C)
