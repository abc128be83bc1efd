import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.local_residual import LocalSettings, local_fit, nearest_fit
from tests.adapter.anchor_sets import around, random_unit

D = 24
LOCAL = LocalSettings(neighbours=6, beta=3.0, ridge=0.1)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1_000), n=st.integers(1, 12))
def test_weights_and_novelty_are_those_of_the_formulas(seed: int, n: int) -> None:
    anchors = around(random_unit(1, D, seed), n, spread=0.8, seed=seed)
    z = around(anchors[:1], 1, spread=0.5, seed=seed + 1)
    order = np.argsort(-(anchors @ z[0]))[:6]
    near = anchors[order].astype(np.float64)
    system = np.exp(-3.0 * (1.0 - near @ near.T))
    np.fill_diagonal(system, 1.1)
    kernel = np.exp(-3.0 * (1.0 - near @ z[0]))
    inverse = np.linalg.inv(system)
    expected = inverse @ kernel
    variance = 1.0 - kernel @ expected
    own = (1.0 / np.diag(inverse) - 0.1)[:5]
    # An anchor's variance with itself left out, the long way.
    without = [j for j in range(len(near)) if j != 0]
    rest = system[np.ix_(without, without)]
    assert own[0] == pytest.approx(1.0 - system[0, without] @ np.linalg.inv(rest) @ system[without, 0], abs=1e-6)

    chosen, fit = nearest_fit(torch.from_numpy(z), torch.from_numpy(anchors), LOCAL)
    assert chosen[0].tolist() == order.tolist()
    assert fit.weights[0].numpy() == pytest.approx(expected, abs=1e-4)
    assert float(fit.novelty[0]) == pytest.approx(np.log(max(variance, 1e-3) / max(own.mean(), 1e-3)), abs=1e-2)


def test_an_event_between_anchors_is_not_novel_and_one_beside_them_is() -> None:
    anchors = torch.from_numpy(around(random_unit(1, D), 30, spread=0.3))
    inside, outside = around(random_unit(1, D), 20, spread=0.3, seed=1), random_unit(20, D, seed=2)
    near, far = (nearest_fit(torch.from_numpy(z), anchors, LOCAL)[1].novelty for z in (inside, outside))
    assert abs(float(near.mean())) < 0.5
    assert far.min() > near.max() + 0.5


def test_who_must_not_be_seen_is_not_seen() -> None:
    vectors = torch.from_numpy(around(random_unit(1, D), 9, spread=0.5))
    own = torch.tensor([0, -1])
    chosen, _ = nearest_fit(vectors[[0, 1]], vectors, LocalSettings(9, 3.0, 0.1), without=own)
    fit = nearest_fit(vectors[[0, 1]], vectors, LocalSettings(9, 3.0, 0.1), without=own)[1]
    assert float(fit.weights[0, chosen[0] == 0].abs()) == 0.0
    assert float(fit.weights[1, chosen[1] == 1].abs()) > 0.5
    others = nearest_fit(vectors[:1], vectors[1:], LocalSettings(8, 3.0, 0.1))[1]
    torch.testing.assert_close(fit.weights[0, :8], others.weights[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(fit.novelty[:1], others.novelty, atol=1e-4, rtol=1e-4)
    hidden = nearest_fit(vectors[:1], vectors, LOCAL, mask=torch.ones(1, 9, dtype=torch.bool))[1]
    assert not hidden.weights.any()
    assert float(hidden.novelty) == 0.0


def test_an_empty_batch() -> None:
    fit = local_fit(torch.empty(0, 6), torch.empty(0, 6, D), LOCAL)
    assert fit.weights.shape == (0, 6)
    assert fit.novelty.shape == (0,)
