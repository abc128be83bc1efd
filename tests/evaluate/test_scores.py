import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.evaluate.scores import calibration_error, faded, joined, judge, reliability, windowed

# Confidences in the bins (9/15, 10/15], (11/15, 12/15] and (14/15, 1].
PROBABILITIES = np.array([[0.65, 0.35], [0.65, 0.35], [0.2, 0.8], [1.0, 0.0]], np.float32)
TRUTH = np.array([0, 1, 1, 1])


def test_figures_of_four_answers_by_hand() -> None:
    answers = judge(PROBABILITIES, TRUTH)
    assert answers.hits.tolist() == [True, False, True, False]
    expected = [-math.log(0.65), -math.log(0.35), -math.log(0.8), -math.log(1e-6)]
    np.testing.assert_allclose(answers.nll, expected, rtol=1e-5)
    np.testing.assert_allclose(answers.brier, [2 * 0.35**2, 2 * 0.65**2, 2 * 0.2**2, 2.0], rtol=1e-5)
    # Bins: two events at 0.65 with accuracy 0.5, one at 0.8 with 1, one at 1 with 0.
    assert calibration_error(answers) == pytest.approx((2 * 0.15 + 0.2 + 1.0) / 4, rel=1e-5)


def test_an_event_without_truth_has_no_figures() -> None:
    answers = judge(PROBABILITIES, np.array([0, -1, 1, 1]))
    assert not answers.hits[1]
    assert np.isnan(answers.nll[1])
    assert np.isnan(answers.brier[1])


def test_no_events_have_no_calibration_error() -> None:
    assert math.isnan(calibration_error(judge(PROBABILITIES[:0], TRUTH[:0])))


def test_batches_are_joined_in_order() -> None:
    whole = judge(PROBABILITIES, TRUTH)
    parts = joined([judge(PROBABILITIES[:1], TRUTH[:1]), judge(PROBABILITIES[1:], TRUTH[1:])])
    np.testing.assert_array_equal(parts.nll, whole.nll)
    np.testing.assert_array_equal(parts.predicted, whole.predicted)


def test_accuracies_over_a_stream_by_hand() -> None:
    hits = np.array([True, False, False, True])
    np.testing.assert_allclose(windowed(hits, 2), [1, 1 / 2, 0, 1 / 2])
    # With factor 1/2 the weights of the last four events are 1/8, 1/4, 1/2, 1.
    np.testing.assert_allclose(faded(hits, 0.5), [1, 1 / 3, 1 / 7, 9 / 15])


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_windowed_over_everything_and_faded_by_nothing_are_cumulative(drawn: list[bool]) -> None:
    hits = np.array(drawn)
    cumulative = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    np.testing.assert_allclose(windowed(hits, len(hits)), cumulative)
    np.testing.assert_allclose(faded(hits, 1.0), cumulative)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_every_event_is_in_one_bin_and_the_error_is_a_share(seed: int, events: int) -> None:
    random = np.random.default_rng(seed)
    answers = judge(random.dirichlet(np.ones(4), events).astype(np.float32), random.integers(0, 4, events))
    assert sum(b.events for b in reliability(answers)) == events
    assert 0.0 <= calibration_error(answers) <= 1.0
