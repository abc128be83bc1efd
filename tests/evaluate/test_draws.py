import numpy as np
import pytest

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.draws import draw_classes, generator, named_classes
from tests.evaluate.data import make_features


def test_a_purpose_has_the_same_draws_whatever_else_is_drawn() -> None:
    first = generator(3, "labels").random(5)
    generator(3, "order").random(100)
    np.testing.assert_array_equal(generator(3, "labels").random(5), first)
    assert not np.array_equal(generator(4, "labels").random(5), first)
    assert not np.array_equal(generator(3, "noise").random(5), first)


@pytest.mark.parametrize(("share", "wanted"), [(0.01, 1), (0.3, 2), (0.5, 3), (0.99, 5)])
def test_a_share_of_the_classes_is_rounded_at_least_one_and_not_all(share: float, wanted: int) -> None:
    assert len(draw_classes(make_features(), share, 0, "canaries")) == wanted


def test_all_classes_are_drawn_sometimes() -> None:
    drawn = {int(label) for seed in range(40) for label in draw_classes(make_features(), 0.3, seed, "canaries")}
    assert drawn == set(range(6))


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, -0.1])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        draw_classes(make_features(), share, 0, "canaries")


def test_classes_by_name() -> None:
    np.testing.assert_array_equal(named_classes(make_features(), ("house", "cat", "house")), [0, 3])
    with pytest.raises(EvaluationError, match="not in the vocabulary of made: hose"):
        named_classes(make_features(), ("hose",))
