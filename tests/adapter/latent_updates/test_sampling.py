import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.latent_updates.learner import take_part

KEYS = np.random.default_rng(0).permutation(2**63 + np.arange(1_000, dtype=np.uint64))


def chosen(classes: NDArray[np.int64], keys: NDArray[np.uint64], most: int) -> list[int]:
    return [int(keys[place]) for place in take_part(classes, keys, most)]


def one_at_a_time(counts: list[int], most: int) -> list[int]:
    """As one would say it: while there is too much, the largest class gives one, of equals the last in order."""
    counts = list(counts)
    while sum(counts) > most:
        largest = max(counts)
        counts[max(index for index, size in enumerate(counts) if size == largest)] -= 1
    return counts


@settings(deadline=None)
@given(labels=st.lists(st.integers(0, 4), max_size=60), most=st.integers(1, 50), data=st.data())
def test_an_even_share_of_each_class_takes_part_whatever_order_they_came_in(
    labels: list[int], most: int, data: st.DataObject
) -> None:
    classes, keys = np.array(labels, np.int64), KEYS[: len(labels)]
    places = take_part(classes, keys, most)
    counts = np.bincount(classes, minlength=5).tolist()
    assert np.bincount(classes[places], minlength=5).tolist() == one_at_a_time(counts, most)
    assert (np.diff(keys[places].astype(object)) > 0).all(), "in order of their keys, each once"
    order = np.array(data.draw(st.permutations(range(len(labels)))), np.int64)
    assert chosen(classes[order], keys[order], most) == chosen(classes, keys, most)


def test_who_takes_part_hardly_changes_when_one_anchor_comes() -> None:
    classes = np.arange(101) % 4
    one, other = set(chosen(classes[:100], KEYS[:100], 40)), set(chosen(classes, KEYS[:101], 40))
    assert len(one & other) >= 38
