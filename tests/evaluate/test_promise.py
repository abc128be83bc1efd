"""The promise, over draws of real data: labelled classes win much, those without labels lose nothing on average."""

import numpy as np
import pytest

from stream_adapter.config import AdapterConfig
from stream_adapter.evaluate.features import read_features
from stream_adapter.evaluate.report import document
from stream_adapter.evaluate.running import Evaluation, run_all
from stream_adapter.evaluate.stream import StreamSettings
from tests.shared_data import shared

SEEDS = 10


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    "regime",
    [{}, {"canary_rate": 0.1}, {"select": "least-confident"}, {"label_rate": 0.0}],
    ids=["plain", "rare", "least confident", "no label at all"],
)
def test_both_win_whatever_is_labelled(regime: dict[str, float | str]) -> None:
    features = read_features(shared("whurs19_clip_vitb32.npz"))
    settings = StreamSettings(events=len(features), **regime)  # type: ignore[arg-type]
    evaluation = Evaluation(features, settings, ("zero-shot", "default"), SEEDS, AdapterConfig())
    rows = {
        (row["method"], row["group"]): np.array([draw["accuracy"] for draw in row["per_seed"]])
        for row in document(evaluation, run_all(evaluation, 1, lambda events: None))["results"]
    }
    labelled = rows["default", "labelled"] - rows["zero-shot", "labelled"]  # (SEEDS,)
    canary = rows["default", "canary"] - rows["zero-shot", "canary"]
    print(regime, f"labelled {100 * labelled.mean():+.1f} (worst {100 * labelled.min():+.1f})", end=", ")
    print(f"canary {100 * canary.mean():+.1f} (worst {100 * canary.min():+.1f})")
    if regime == {"label_rate": 0.0}:
        assert labelled.min() >= 0.0 and canary.min() >= 0.0, "without labels nobody pays"
    else:
        assert labelled.mean() > 0.1 and labelled.min() > 0.05
    # Where canaries are rare a draw has 31 events of them, and one draw loses three.
    assert canary.mean() >= -0.005 and canary.min() >= (-0.1 if "canary_rate" in regime else -0.04)
    if regime == {}:
        assert canary.mean() > 0.03
