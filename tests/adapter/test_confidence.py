"""Labels weighted until they are as sure as the traffic: what holds of a sample holds of labels that were asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.confidence import BINS, as_traffic, histogram
from stream_adapter.adapter.protection import Protected
from stream_adapter.config import AdapterConfig
from tests.fakes import unit

PROBABILITIES = st.lists(st.floats(0.0, 1.0, width=32), max_size=40)


@given(PROBABILITIES, PROBABILITIES)
def test_the_weights_sum_to_what_they_did_and_histograms_add_up(labelled: list[float], seen: list[float]) -> None:
    sure, traffic = np.array(labelled, np.float32), np.array(seen, np.float32)
    both = histogram(traffic, np.ones(len(traffic)))
    assert both.shape == (BINS,) and both.sum() == len(seen)
    assert np.array_equal(
        both, histogram(traffic[:7], np.ones(len(traffic[:7]))) + histogram(traffic[7:], np.ones(len(traffic[7:])))
    )
    weights = np.linspace(0.1, 1.0, len(sure))
    found = as_traffic(sure, weights, both)
    assert (found >= 0).all() and found.sum() == pytest.approx(weights.sum())


def test_labels_of_what_is_in_doubt_say_what_a_sample_would_say() -> None:
    """How often zero-shot is wrong, of events of which only unsure ones are asked about."""
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.05, 0.99, 20_000)
    wrong = rng.random(20_000) > sure
    asked = rng.random(20_000) < np.where(sure < 0.5, 0.09, 0.01)
    weights = as_traffic(sure[asked], np.ones(int(asked.sum())), histogram(sure, np.ones(20_000)))
    assert wrong[asked].mean() > 1.3 * wrong.mean(), "as they come, they say too much"
    assert np.average(wrong[asked], weights=weights) == pytest.approx(wrong.mean(), rel=0.1)


def test_a_sample_stays_nearly_as_it_is_and_without_traffic_everything_does() -> None:
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.05, 0.99, 4_000)
    weights = as_traffic(sure[:400], np.ones(400), histogram(sure, np.ones(4_000)))
    assert np.abs(np.average(sure[:400], weights=weights) - sure.mean()) < 0.01
    assert np.array_equal(as_traffic(sure[:3], np.arange(1.0, 4.0), np.zeros(BINS)), np.arange(1.0, 4.0))


def test_chosen_labels_are_weighted_by_the_traffic_of_labelled_classes_and_sampled_ones_are_not() -> None:
    names, texts = ["cat", "dog", "giraffe", "wall"], np.eye(4, 32, dtype=np.float32)
    rng = np.random.default_rng(2)
    # Half of them zero-shot takes for walls.
    cats = unit(texts[0] + 1.0 * texts[3] + 0.25 * rng.normal(size=(400, 32)))
    logits = 5.0 * cats @ texts.T
    sure = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).max(axis=1)
    asked = np.concatenate([np.argsort(sure)[:40], np.argsort(sure)[40::30]])

    def limits(labels: str) -> float:
        adapter = Adapter(texts, names, 5.0, AdapterConfig.model_validate({"labels": labels}))
        anchors = [Anchor(str(row), cats[row], "cat", event_time_ms=0) for row in asked.tolist()]
        adapter.predict(cats)
        adapter.update([str(row) for row in range(400)], cats, anchors)
        protected = adapter._learner
        assert isinstance(protected, Protected)
        return float(protected.limits.limits[3])

    assert limits("chosen") > limits("sampled")
