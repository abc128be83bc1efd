import numpy as np
import pytest

from stream_adapter.adapter.classes import Classes
from stream_adapter.errors import VocabularyError
from tests.adapter.anchor_sets import random_unit


def classes(*names: str) -> Classes:
    return Classes(names, random_unit(max(1, len(names)), 4)[: len(names)], 100.0)


@pytest.mark.parametrize(
    ("names", "renamed", "former"),
    [
        (("b", "a", "c"), {}, [1, 0, 2]),
        (("a", "new", "c"), {}, [0, -1, 2]),
        (("z", "b", "c"), {"a": "z"}, [0, 1, 2]),
        (("b", "a", "c"), {"a": "b", "b": "a"}, [0, 1, 2]),
        (("b", "c"), {"a": "b"}, [1, 2]),  # merged into one that had the name already
        (("z", "a"), {"a": "z"}, [0, -1]),  # the name that became free is a class's that is new
        (("a", "b"), {"nobody": "a"}, [0, 1]),
    ],
)
def test_which_class_each_was_before(names: tuple[str, ...], renamed: dict[str, str], former: list[int]) -> None:
    assert classes(*names).former(classes("a", "b", "c"), renamed).tolist() == former


def test_classes_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(VocabularyError, match=r"shape \(0, 4\), expected \(0, d\)"):
        classes()
    with pytest.raises(VocabularyError, match="more than once: a"):
        classes("a", "b", "a")
    with pytest.raises(VocabularyError, match="class 'b': the vector's length is 3"):
        Classes(("a", "b"), np.diag([1.0, 3.0]).astype(np.float32), 100.0)
