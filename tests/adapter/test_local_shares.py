import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.adapter.local_shares import local_shares


def test_two_classes_are_as_far_apart_as_their_means_less_what_chance_would_show() -> None:
    means = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    found = local_shares(means, np.array([10.0, 5.0]), np.array([8.0, 2.0]))
    fading = np.exp(-5 * (1.0 - 1 / 10 - 1 / 5))
    assert found == pytest.approx([8 / (8 + 2 * fading), 2 / (2 + 8 * fading)])


def test_a_class_that_has_its_place_for_itself_keeps_all_however_rare_it_is() -> None:
    means = torch.tensor([[0.0, 0.0], [0.0, 6.0], [6.0, 0.0]])
    found = local_shares(means, np.array([2_000.0, 2.0, 30.0]), np.array([2_000.0, 2.0, 30.0]))
    assert found == pytest.approx(np.ones(3), abs=1e-9)


def test_classes_in_one_place_share_it_as_their_evidence_does() -> None:
    found = local_shares(torch.zeros(3, 4), np.array([60.0, 30.0, 10.0]), np.array([60.0, 30.0, 10.0]))
    assert found == pytest.approx([0.6, 0.3, 0.1])


def test_means_that_few_events_make_are_not_told_apart() -> None:
    means = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    few = local_shares(means, np.array([100.0, 1.0]), np.array([100.0, 1.0]))
    many = local_shares(means, np.array([100.0, 90.0]), np.array([100.0, 1.0]))
    assert few[1] == pytest.approx(1 / 101)
    assert many[1] > 2 * few[1]


def test_without_unlabelled_classes_there_is_nothing_to_share() -> None:
    assert local_shares(torch.zeros(0, 3), np.zeros(0), np.zeros(0)).shape == (0,)


@given(
    seed=st.integers(0, 1_000),
    scale=st.sampled_from([0.0, 0.1, 1.0, 1e4]),
    weights=st.lists(st.floats(0.5, 1e6), min_size=1, max_size=6),
    portion=st.floats(1e-6, 1.0),
)
def test_a_share_is_above_0_and_at_most_1_and_no_smaller_than_the_share_of_all_traffic(
    seed: int, scale: float, weights: list[float], portion: float
) -> None:
    means = torch.from_numpy(scale * np.random.default_rng(seed).normal(size=(len(weights), 3))).float()
    evidence = portion * np.array(weights)
    found = local_shares(means, np.array(weights), evidence)
    assert (found > 0).all()
    assert (found <= 1).all()
    assert (found >= evidence / evidence.sum() * (1 - 1e-9)).all()
