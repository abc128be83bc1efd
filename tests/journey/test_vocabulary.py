"""The classes in force as a snapshot keeps them: they come back whole, or not at all."""

from typing import Any

import numpy as np
import pytest

from stream_adapter.adapter.packing import pack_strings
from stream_adapter.journey.vocabulary import ClassesNow
from tests.fakes import CANARY, CLASSES, TEXT_VECTORS

NOW = ClassesNow(CLASSES, TEXT_VECTORS, "beef", frozenset({CANARY}), {"kitten": "cat", "puppy": "dog"})


def test_they_come_back_from_their_arrays() -> None:
    again = ClassesNow.of(NOW.arrays())
    assert (again.names, again.hash, again.canaries) == (NOW.names, NOW.hash, NOW.canaries)
    assert again.aliases == NOW.aliases
    np.testing.assert_array_equal(again.texts, NOW.texts)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"classes.texts": TEXT_VECTORS[:-1]}, id="a text too few"),
        pytest.param({"classes.texts": TEXT_VECTORS[0]}, id="one text"),
        pytest.param(pack_strings("classes.targets", ["cat"]), id="an alias of nothing"),
        pytest.param(pack_strings("classes.targets", ["cat", "dog", "horse"]), id="a target too many"),
        pytest.param(pack_strings("classes.names", CLASSES[:-1]), id="a name too few"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ClassesNow.of({**NOW.arrays(), **damage})
