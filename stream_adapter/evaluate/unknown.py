"""How well events of no class are told: some classes are taken out of the vocabulary, and their events left in."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.prediction import Prediction
from stream_adapter.drift.novelty import maximum_concept_matching
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.evaluate.draws import draw_classes
from stream_adapter.evaluate.features import UNKNOWN, Features
from stream_adapter.evaluate.html import Table
from stream_adapter.evaluate.results import Interval, plain
from stream_adapter.evaluate.running import Evaluation
from stream_adapter.evaluate.stream import StreamSettings, batches, plan_stream

Score = Callable[[Prediction, float], NDArray[np.float32]]
SCORES: dict[str, Score] = {
    "none of these": lambda said, scale: said.none_of_these,
    "novelty": lambda said, scale: said.novelty,
    "MCM, temperature 1": lambda said, scale: -maximum_concept_matching(said.zero_shot, scale),
    "MCM, the model's": lambda said, scale: -said.zero_shot.max(axis=1),
}
"""What is compared, high for events of no class; "the model's" temperature is the softmax of its logits as they are."""


@dataclass(frozen=True, slots=True)
class Report:
    """Means over draws with their 95 % intervals.

    Attributes:
        auroc: by score, that an event of no class scores higher than one of a known class.
        fpr95: by score, events of no class that pass where 95 % of known ones do.
        called: share that is called unknown, of events of labelled classes, of canaries and of no class, once there are
            labels enough to tell.
        decided: share of the events about which anything was said.
    """

    auroc: dict[str, Interval]
    fpr95: dict[str, Interval]
    called: dict[str, Interval]
    decided: Interval


def without(features: Features, gone: NDArray[np.int64]) -> Features:
    """The same events with some classes taken out of the vocabulary."""
    before = features.vocabulary
    kept = np.setdiff1d(np.arange(len(before.class_names)), gone)
    to = np.full(len(before.class_names) + 1, UNKNOWN)
    to[kept] = np.arange(len(kept))
    names = tuple(before.class_names[index] for index in kept.tolist())
    vocabulary = Vocabulary(names, before.text_vectors[kept], before.logit_scale)
    return replace(features, labels=to[features.labels], vocabulary=vocabulary)


def compare(evaluation: Evaluation, share: float, settings: StreamSettings) -> Report:
    """Run the stream of each draw with a share of the occurring classes taken out."""
    draws = [_draw(evaluation, share, settings, seed) for seed in range(evaluation.seeds)]
    merged = {
        kind: {name: Interval.of([one[kind][name] for one in draws]) for name in draws[0][kind]} for kind in draws[0]
    }
    return Report(merged["auroc"], merged["fpr95"], merged["called"], merged["decided"]["of all"])


def _draw(evaluation: Evaluation, share: float, settings: StreamSettings, seed: int) -> dict[str, dict[str, float]]:
    features = without(evaluation.features, draw_classes(evaluation.features, share, seed, "taken out"))
    plan, names = plan_stream(features, settings, seed), features.vocabulary.class_names
    canaries = tuple(names[index] for index in np.flatnonzero(plan.canary))
    config = evaluation.adapter.model_copy(update={"canaries": canaries, "protect": {}})
    adapter = Adapter(features.vocabulary.text_vectors, names, features.vocabulary.logit_scale, config)
    scores: dict[str, list[NDArray[np.float32]]] = {name: [] for name in SCORES}
    called: list[NDArray[np.float64]] = []
    for batch, lessons, _ in batches(features, plan, settings):
        said = adapter.predict(batch.vectors)
        for name, score in SCORES.items():
            scores[name].append(score(said, features.vocabulary.logit_scale))
        called.append(np.full(len(batch.ids), np.nan) if said.unknown is None else said.unknown.astype(np.float64))
        learned = zip(lessons.ids.tolist(), lessons.vectors, lessons.classes.tolist(), strict=True)
        anchors = [Anchor(str(id), vector, names[label], id) for id, vector, label in learned]
        adapter.update([str(id) for id in batch.ids.tolist()], batch.vectors, anchors)
    strange = plan.truth == UNKNOWN
    is_canary = ~strange & plan.canary[plan.truth]
    joined = {name: np.concatenate(parts) for name, parts in scores.items()}
    verdicts = np.concatenate(called)
    decided = ~np.isnan(verdicts)
    groups = {"labelled classes": ~strange & ~is_canary, "canaries": is_canary, "no class": strange}
    return {
        "auroc": {name: auroc(values, strange) for name, values in joined.items()},
        "fpr95": {name: fpr95(values, strange) for name, values in joined.items()},
        "called": {
            name: float(verdicts[of & decided].mean()) if (of & decided).any() else np.nan
            for name, of in groups.items()
        },
        "decided": {"of all": float(decided.mean())},
    }


def auroc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve, ties counted half; nan where all are of one kind."""
    n, m = int(positive.sum()), int((~positive).sum())
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[place]
    return float((ranks[positive].sum() - n * (n + 1) / 2.0) / (n * m)) if n and m else float("nan")


def fpr95(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """The share of positives at or below the score that 95 % of the others do not exceed; nan without both kinds."""
    if positive.all() or not positive.any():
        return float("nan")
    return float((scores[positive] <= np.quantile(scores[~positive], 0.95, method="higher")).mean())


def tables(report: Report, evaluation: Evaluation) -> tuple[Table, Table]:
    """How well scores tell, and what is called unknown, in %."""
    scores = [[name, report.auroc[name].points(), report.fpr95[name].points()] for name in SCORES]
    called = [interval.points() for interval in (*report.called.values(), report.decided)]
    rate = f"{100 * evaluation.adapter.unknown_rate:g} %"
    return (
        Table(f"Events of no class on {evaluation.features.name}, in %", ("score", "AUROC", "FPR95"), scores),
        Table(f"Called unknown at a rate of {rate}, in %", (*report.called, "decided"), [called], text_columns=0),
    )


def document(report: Report, evaluation: Evaluation) -> dict[str, Any]:
    """The report as JSON values."""
    found = {"protocol": "unknown", "data": evaluation.features.name, "seeds": evaluation.seeds} | asdict(report)
    return dict(plain(found))
