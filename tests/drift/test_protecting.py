"""Measured harm moves the protection: bounded, slowly, and never more often than it proves."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.drift.protecting import ProtectionLevel

HARM = np.tile([0, -1, 0, 0, 0], 200)
CALM = np.zeros(2_000, np.int64)


def _level(steps: int = 2) -> ProtectionLevel:
    return ProtectionLevel(steps, tolerance=0.01, alpha=0.01, min_labels=50)


def test_proven_harm_doubles_and_harm_that_is_ruled_out_halves() -> None:
    protection = _level()
    (first, *_) = protection.observe(HARM[:100])
    assert (first.action, first.before, first.after, first.labels) == ("raised", 1.0, 2.0, 55)
    assert first.difference == -0.2 and first.interval.high < -0.01
    protection = _level()
    first, second = protection.observe(CALM)
    assert (first.action, first.after, second.after) == ("lowered", 0.5, 0.25)
    assert first.labels >= 300 and first.interval.low >= -0.01


def test_it_ends_where_its_steps_end_and_without_steps_it_stays() -> None:
    protection = _level()
    assert [step.after for step in protection.observe(np.tile(HARM, 5))] == [2.0, 4.0]
    assert protection.factor == 4.0
    fixed = _level(steps=0)
    assert fixed.observe(HARM) == [] and fixed.factor == 1.0


def test_too_few_tests_or_too_little_difference_move_nothing() -> None:
    protection = _level()
    assert protection.observe(HARM[:49]) == []
    undecided = _level()
    assert undecided.observe(np.tile([0, 0, 0, -1, 1], 40)) == []


def test_a_halving_that_was_wrong_is_not_repeated_soon() -> None:
    protection = _level()
    rng = np.random.default_rng(0)
    halvings = []
    for number in range(30_000):  # below the configured protection it harms, with it it does not
        difference = -int(rng.random() < (0.2 if protection.level < 0 else 0.0))
        halvings += [number for step in protection.observe(np.array([difference])) if step.action == "lowered"]
    assert len(halvings) >= 3, "it tries again"
    gaps = np.diff(halvings)
    assert (gaps[4:] > 1.5 * gaps[3:-1]).all(), "and each time later"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=30), st.integers(0, 3))
def test_batches_and_restarts_change_nothing(sizes: list[int], seed: int) -> None:
    stream = np.random.default_rng(seed).choice([-1, 0, 1], sum(sizes), p=[0.15, 0.8, 0.05])
    whole, pieces = _level(), _level()
    whole.observe(stream)
    for part in np.split(stream, np.cumsum(sizes)):
        pieces.observe(part)
        again = _level()
        again.restore(json.loads(json.dumps(pieces.state())))
        pieces = again
    assert pieces.state() == whole.state()


def test_what_holds_elsewhere_holds_here_and_is_measured_anew() -> None:
    protection = _level()
    protection.observe(HARM[:40])
    protection.follow(0)
    assert protection.observed == 40, "nothing new"
    protection.follow(2)
    assert (protection.factor, protection.observed) == (4.0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_without_harm_it_is_seldom_doubled(seed: int) -> None:
    protection = _level()
    stream = np.random.default_rng(seed).choice([-1, 0, 1], 3_000, p=[0.05, 0.9, 0.05])
    assert all(step.action == "lowered" for step in protection.observe(stream))
