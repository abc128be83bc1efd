from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.correction import AllAnchors, Correction, CorrectionSettings, read_anchors
from stream_adapter.adapter.discriminant import DiscriminantSettings
from stream_adapter.adapter.label_trust import LabelTrust
from stream_adapter.adapter.local_residual import LocalFit, LocalSettings
from stream_adapter.adapter.presence_evidence import PresenceEvidence
from tests.adapter.anchor_sets import around, random_unit

D, C = 24, 6
TEXTS = random_unit(C, D)
OFF = DiscriminantSettings(weight=0.0, shrinkage=0.5)
LOCAL = LocalSettings(neighbours=4, beta=3.0, ridge=0.1)


def evidence(excess: tuple[float, ...] = (0.0,) * C, events: int = 994) -> PresenceEvidence:
    return PresenceEvidence(events, 30, np.zeros(C), np.array(excess), np.zeros(C), np.zeros(C, np.int64))


def logits(vectors: torch.Tensor, texts: NDArray[np.float32] = TEXTS) -> torch.Tensor:
    return 20.0 * vectors @ torch.from_numpy(texts).T


def correction(
    labelled: tuple[int, ...] = (0, 1), given_evidence: PresenceEvidence | None = None, **changes: Any
) -> Correction:
    """Eight anchors of each labelled class, all trusted."""
    classes = np.repeat(np.array(labelled, np.int64), 8)
    anchors = AllAnchors(
        around(TEXTS[list(labelled)], 8, spread=2.0), classes, np.arange(len(classes)), np.arange(len(classes))
    )
    n = len(classes)
    trust = LabelTrust(torch.ones(n), torch.from_numpy(classes)[:, None], torch.ones(n, 1), 0.0)
    fields: dict[str, Any] = {"local": LOCAL, "kappa": 0.01, "protection": 0.0, "discriminant": OFF}
    settings = CorrectionSettings(**(fields | changes))
    return Correction(
        read_anchors(anchors, trust, logits, logits, settings),
        np.isin(np.arange(C), labelled),
        evidence() if given_evidence is None else given_evidence,
        settings,
    )


def fit(weights: NDArray[np.float64], novelty: float = 0.0) -> LocalFit:
    return LocalFit(torch.from_numpy(weights).float(), torch.full((len(weights),), novelty))


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 1_000),
    labelled=st.sets(st.integers(0, C - 1), min_size=1).map(tuple),
    scale=st.sampled_from([0.0, 1.0, 50.0]),
    novelty=st.floats(-7, 7),
    weight=st.sampled_from([0.0, 1.0, 18.0]),
)
def test_an_answer_is_a_distribution_whatever_the_anchors_say(
    seed: int, labelled: tuple[int, ...], scale: float, novelty: float, weight: float
) -> None:
    random = np.random.default_rng(seed)
    made = correction(
        labelled, evidence(tuple(random.exponential(5.0, C))), discriminant=DiscriminantSettings(weight, 0.5)
    )
    places = torch.from_numpy(random.integers(0, 8 * len(labelled), (5, 4)))
    z = torch.from_numpy(random_unit(5, D, seed))
    answer = made.probabilities(
        z, scale * logits(z), logits(z).softmax(dim=1), places, fit(scale * random.normal(size=(5, 4)), novelty)
    )
    assert torch.isfinite(answer).all()
    assert (answer >= 0).all()
    torch.testing.assert_close(answer.sum(dim=1), torch.ones(5), atol=1e-4, rtol=0)


def test_unlabelled_classes_share_what_is_theirs_as_the_base_says() -> None:
    z = torch.from_numpy(random_unit(5, D, seed=3))
    places, weights = torch.zeros(5, 4, dtype=torch.int64), np.full((5, 4), 0.4)
    made = correction(given_evidence=evidence((0.0, 0.0, 9.0, 9.0, 2.0, 0.0)))
    # κ (n + C) = 10: two classes are present, the others are alive by 3/10 and 1/10, which counts twice.
    assert made.kinds == ["labelled", "labelled", "present", "present", "dormant", "dormant"]
    expected = logits(z).exp() * torch.tensor([1.0, 1.0, 1.0, 1.0, 0.09, 0.01])
    answer = made.probabilities(z, logits(z), logits(z).softmax(dim=1), places, fit(weights))
    torch.testing.assert_close(
        answer[:, 2:] / answer[:, 2:].sum(dim=1, keepdim=True),
        expected[:, 2:] / expected[:, 2:].sum(dim=1, keepdim=True),
    )


def test_residuals_decide_between_labelled_classes() -> None:
    made = correction()
    z = torch.from_numpy(TEXTS[:1])
    towards = torch.tensor([[8, 9, 10, 11]])  # anchors of class 1, which the base gives to it only in part
    before = made.probabilities(z, logits(z), logits(z).softmax(dim=1), towards, fit(np.zeros((1, 4))))
    after = made.probabilities(z, logits(z), logits(z).softmax(dim=1), towards, fit(np.full((1, 4), 0.5)))
    assert after[0, 1] > before[0, 1]
    assert after[0, 0] < before[0, 0]
    # One base for both: the sum of the two is the open set's, and it has not seen the weights.
    assert float(after[0, :2].sum()) == pytest.approx(float(before[0, :2].sum()), abs=1e-6)


def test_protection_is_what_unlabelled_classes_win_in_log_odds() -> None:
    z = torch.from_numpy(random_unit(20, D, seed=5))
    places, weights = torch.zeros(20, 4, dtype=torch.int64), fit(np.zeros((20, 4)))
    masses = [
        correction(protection=protection)
        .probabilities(z, logits(z), logits(z).softmax(dim=1), places, weights)[:, :2]
        .sum(dim=1)
        for protection in (0.0, 1.5)
    ]
    torch.testing.assert_close(masses[0].logit() - masses[1].logit(), torch.full((20,), 1.5), atol=1e-2, rtol=0)


def test_an_answer_falls_back_on_the_base_where_only_one_class_is_labelled() -> None:
    made = correction(labelled=(2,))
    z = torch.from_numpy(random_unit(5, D, seed=6))
    answer = made.probabilities(
        z, logits(z), logits(z).softmax(dim=1), torch.zeros(5, 4, dtype=torch.int64), fit(np.zeros((5, 4)))
    )
    base = (logits(z) + torch.from_numpy(2.0 * np.log(made.aliveness)).float()).softmax(dim=1)
    torch.testing.assert_close(answer, base, atol=1e-5, rtol=1e-3)


def test_only_the_largest_logits_are_kept_and_the_rest_as_a_sum() -> None:
    texts = random_unit(200, D, seed=8)
    anchors = AllAnchors(random_unit(3, D, seed=9), np.array([5, 5, 7]), np.arange(3), np.arange(3))
    trust = LabelTrust(torch.ones(3), torch.tensor([[5], [5], [7]]), torch.ones(3, 1), 0.0)
    readings = read_anchors(
        anchors,
        trust,
        lambda images: logits(images, texts),
        lambda images: logits(images, texts),
        CorrectionSettings(LOCAL, 0.01, 0.0, OFF),
    )
    whole = logits(torch.from_numpy(anchors.vectors), texts)
    assert readings.top_logits.shape == (3, 32)
    together = torch.cat([readings.top_logits, readings.rest[:, None]], dim=1).logsumexp(dim=1)
    torch.testing.assert_close(together, whole.logsumexp(dim=1))
    torch.testing.assert_close(whole.gather(1, readings.top_classes), readings.top_logits)
