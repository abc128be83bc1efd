import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from stream_adapter.adapter.sharpness import LEAST, MOST, sharpness


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1_000), n=st.integers(1, 80), spread=st.floats(0.1, 8.0))
def test_it_is_the_minimum(seed: int, n: int, spread: float) -> None:
    random = np.random.default_rng(seed)
    logs = spread * random.normal(size=(n, 5))
    labels, trust = random.integers(0, 5, n), random.uniform(0.0, 1.0, n)

    def loss(s: float) -> float:
        own = s * logs[np.arange(n), labels] - np.logaddexp.reduce(s * logs, axis=1)
        return float(-trust @ own + (s - 1.0) ** 2 / 2)

    best = minimize_scalar(loss, bounds=(LEAST, MOST), method="bounded", options={"xatol": 1e-8})
    found = sharpness(torch.from_numpy(logs), torch.from_numpy(labels), torch.from_numpy(trust))
    assert loss(found) == pytest.approx(best.fun, rel=1e-5, abs=1e-5)


def test_what_is_too_timid_is_sharpened_back() -> None:
    random = np.random.default_rng(0)
    truth = 3.0 * random.normal(size=(4_000, 5))
    labels = torch.distributions.Categorical(logits=torch.from_numpy(truth)).sample()
    assert sharpness(torch.from_numpy(truth / 2.0), labels, torch.ones(4_000)) == pytest.approx(2.0, abs=0.15)


def test_without_anchors_it_is_one() -> None:
    assert sharpness(torch.empty(0, 3), torch.empty(0, dtype=torch.int64), torch.empty(0)) == 1.0
