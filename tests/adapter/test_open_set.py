from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from stream_adapter.adapter.open_set import LeftOut, OpenSet, calibrate, log_odds


def left_out(n: int, seed: int = 0, mass: float = 1.0, novelty: float = 1.0) -> LeftOut:
    """Examples whose base verdict and novelty tell known from unknown as well as asked for."""
    random = np.random.default_rng(seed)
    known, unknown = random.normal(mass, 1.0, n), random.normal(-mass, 1.0, n)
    labelled = 1 / (1 + np.exp(-known))
    own = np.maximum(labelled - 1 / (1 + np.exp(-unknown)), 0.0)
    both_novelties = np.stack([random.normal(0.0, 1.0, n), random.normal(novelty, 1.0, n)])
    return LeftOut(
        np.stack([labelled, np.sqrt(labelled)]), np.stack([own, own**2]), both_novelties, random.uniform(0.2, 1.0, n)
    )


def test_without_examples_the_bases_own_verdict_stands() -> None:
    empty = np.empty((2, 0))
    assert calibrate(LeftOut(empty, empty, empty, np.empty(0))) == OpenSet(0.5, 0.5, 0.0, 0.0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1_000), n=st.integers(1, 60), strength=st.floats(0.5, 20.0))
def test_the_weights_are_the_posteriors_maximum(seed: int, n: int, strength: float) -> None:
    examples = left_out(n, seed)
    ones = np.ones(n)
    known = np.stack([*log_odds(examples.labelled), examples.novelty[0], ones], axis=1)
    unknown = np.stack([*log_odds(examples.labelled - examples.own), examples.novelty[1], ones], axis=1)

    def loss(weights: np.ndarray) -> float:
        likelihood = np.logaddexp(0, -known @ weights) + np.logaddexp(0, unknown @ weights)
        return float(examples.trust @ likelihood + strength / 2 * ((weights - [0.5, 0.5, 0.0, 0.0]) ** 2).sum())

    best = minimize(loss, [0.5, 0.5, 0.0, 0.0], method="BFGS", tol=1e-10)
    found = calibrate(examples, strength)
    assert loss(np.array(astuple(found))) == pytest.approx(best.fun, rel=1e-6)


def test_what_tells_known_from_unknown_gets_the_weight() -> None:
    by_novelty = calibrate(left_out(500, mass=0.0, novelty=2.0))
    by_mass = calibrate(left_out(500, mass=2.0, novelty=0.0))
    assert by_novelty.novelty < -1.0
    assert abs(by_mass.novelty) < 0.3
    assert by_mass.mass > by_novelty.mass


def test_examples_that_are_told_apart_without_fault_do_not_break_it() -> None:
    n = 200
    found = calibrate(LeftOut(np.ones((2, n)), np.ones((2, n)), np.repeat([[-5.0], [5.0]], n, axis=1), np.ones(n)))
    assert np.isfinite(astuple(found)).all()


def test_a_doubted_anchor_counts_less() -> None:
    examples = left_out(50)
    assert calibrate(replace(examples, trust=np.full(50, 1e-9))).novelty == pytest.approx(0.0, abs=1e-6)
