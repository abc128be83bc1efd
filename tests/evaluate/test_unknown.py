"""`evaluate unknown`: figures of scores whose truth is known, and the run over made features."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stream_adapter.config import AdapterConfig
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.command import Request, evaluate_unknown
from stream_adapter.evaluate.features import UNKNOWN, save_features
from stream_adapter.evaluate.stream import StreamSettings
from stream_adapter.evaluate.unknown import SCORES, auroc, fpr95, without
from tests.evaluate.data import CLASSES, make_features


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.integers(6, size=60).astype(float), random.random(60) < 0.4
    pairs = scores[positive][:, None] - scores[~positive]
    assert auroc(scores, positive) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert np.isnan(auroc(scores, np.ones(60, np.bool_))) and np.isnan(fpr95(scores, np.zeros(60, np.bool_)))


def test_what_passes_where_95_percent_of_the_others_do() -> None:
    scores = np.concatenate([np.arange(100.0), [10.0, 94.5, 95.5, 500.0]])
    assert fpr95(scores, np.arange(104) >= 100) == 0.5


def test_a_class_that_is_taken_out_leaves_its_events() -> None:
    features = without(make_features(60, unknown=3), np.array([0, 2]))
    assert features.vocabulary.class_names == ("dog", "house", "boat", "tree")
    before = make_features(60, unknown=3).labels
    for row, label in enumerate(before.tolist()):
        after = int(features.labels[row])
        named = UNKNOWN if after == UNKNOWN else features.vocabulary.class_names[after]
        assert named == (UNKNOWN if label in (UNKNOWN, 0, 2) else CLASSES[label])


def test_the_command_reports_every_score_and_keeps_its_rate(tmp_path: Path) -> None:
    save_features(tmp_path / "made.npz", make_features(1_200, shift=0.3))
    shown, report = Console(record=True, width=120), tmp_path / "found.json"
    request = Request(tmp_path / "made.npz", None, None, "default", 3, 1, report, None)
    evaluate_unknown(request, 0.3, StreamSettings(canaries=0.0), shown, Console(quiet=True))
    found, text = json.loads(report.read_text()), shown.export_text()
    assert set(found["auroc"]) == set(found["fpr95"]) == set(SCORES)
    assert all(name in text for name in SCORES)
    assert found["auroc"]["none of these"]["mean"] > 0.75
    assert found["called"]["labelled classes"]["mean"] < 1.5 * AdapterConfig().unknown_rate
    assert found["called"]["no class"]["mean"] > 3 * found["called"]["labelled classes"]["mean"]
    assert found["called"]["canaries"]["mean"] is None
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        evaluate_unknown(request, 1.0, StreamSettings(), shown, Console(quiet=True))
