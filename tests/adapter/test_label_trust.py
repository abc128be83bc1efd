import numpy as np
import torch
from torch import Tensor

from stream_adapter.adapter.label_trust import LabelTrust, label_trust
from stream_adapter.adapter.local_residual import LocalSettings
from tests.adapter.anchor_sets import around, random_unit

D = 32
TEXTS = random_unit(5, D)
LOCAL = LocalSettings(neighbours=16, beta=3.0, ridge=0.1)


def anchors(per_class: int, wrong: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors, labels of which a share is wrong, and which these are."""
    vectors = around(TEXTS, per_class, spread=1.2, seed=seed)
    truth = np.repeat(np.arange(5), per_class)
    random = np.random.default_rng(seed)
    is_wrong = random.random(len(truth)) < wrong
    labels = np.where(is_wrong, (truth + random.integers(1, 5, len(truth))) % 5, truth)
    return torch.from_numpy(vectors), torch.from_numpy(labels), torch.from_numpy(is_wrong)


def judged(vectors: Tensor, labels: Tensor, judges: Tensor | None = None) -> LabelTrust:
    judges = torch.arange(len(vectors)) if judges is None else judges
    return label_trust(vectors, labels, judges, torch.from_numpy(TEXTS), 30.0, LOCAL)


def test_wrong_labels_are_found_and_their_share_estimated() -> None:
    vectors, labels, wrong = anchors(60, wrong=0.15)
    found = judged(vectors, labels)
    assert found.trust[wrong].mean() < 0.2
    assert found.trust[~wrong].mean() > 0.95
    assert abs(found.noise - float(wrong.float().mean())) < 0.05


def test_clean_labels_are_hardly_doubted() -> None:
    vectors, labels, _ = anchors(60, wrong=0.0)
    found = judged(vectors, labels)
    assert found.noise < 0.02
    assert (found.trust > 0.5).float().mean() > 0.98


def test_a_doubted_anchor_teaches_what_the_others_say() -> None:
    vectors, labels, wrong = anchors(60, wrong=0.15)
    found = judged(vectors, labels)
    assert torch.equal(found.classes[:, 0], labels)
    assert torch.equal(found.values[:, 0], found.trust)
    truth = torch.arange(5).repeat_interleave(60)
    taught = torch.zeros(300, 5).scatter_add_(1, found.classes, found.values)
    assert (taught.argmax(dim=1) == truth)[wrong].float().mean() > 0.9
    assert taught.sum(dim=1).max() < 1.0 + 1e-5


def test_some_may_judge_all() -> None:
    vectors, labels, wrong = anchors(200, wrong=0.15)
    found = judged(vectors, labels, torch.arange(0, 1_000, 4))
    assert found.trust[wrong].mean() < 0.2
    assert found.trust[~wrong].mean() > 0.95


def test_no_label_judges_itself() -> None:
    """An anchor alone on its side: its own residual would make it trusted."""
    vectors, labels, _ = anchors(60, wrong=0.0)
    labels[7] = 4
    assert judged(vectors, labels).trust[7] < 0.3


def test_a_few_anchors_or_one_class_are_taken_at_their_word() -> None:
    vectors, labels, _ = anchors(1, wrong=0.0)
    found = judged(vectors, labels)
    assert (found.noise, found.trust.tolist(), found.values.tolist()) == (0.0, [1.0] * 5, [[1.0]] * 5)
