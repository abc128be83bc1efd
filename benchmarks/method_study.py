"""The method on real CLIP vectors, regime by regime: what labels win, what unlabelled classes keep, ablations.

    python benchmarks/method_study.py FEATURES.npz [...] [--seeds 10] [--regimes plain wrong] [--variants ours llu]

A feature file has `vectors`, `labels` (-1: a class that the vocabulary lacks), `class_names`, `text_vectors`,
`logit_scale` and, where there are any, `domains`. 30 % of the classes that occur are canaries, drawn by seed: scored
and never learned. 30 % of the other events are labelled. Prequential: batches of 64 are predicted, then learned.

    plain           as above
    rare            a tenth of the canaries' events
    burst           no canary before half of the events
    late            labels come 500 events late
    least, most     labels for the 30 % of events that zero-shot is least, most confident of, so far
    wrong           a tenth of the labels is another labelled class, drawn uniformly

With domains the stream goes through them one after another, 1,200 events each, but for burst: 2,500 events shuffled.
Every figure is a mean over seeds; "worst" is the smallest difference to zero-shot of a single one.
"""

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from stream_adapter.adapter import Adapter, Anchor
from stream_adapter.adapter.refit import InlineExecutor
from stream_adapter.adapter.traffic_window import TrafficWindow
from stream_adapter.config import AdapterConfig

BATCH, EVERY_LABELS, DELAY, A_DOMAIN, SHUFFLED = 64, 32, 500, 1_200, 2_500
DOMAINS = ("photo", "art painting", "cartoon")
REGIMES = ("plain", "rare", "burst", "late", "least", "most", "wrong")
# Ablations are settings of the adapter.
VARIANTS: dict[str, dict[str, Any]] = {
    "ours": {},
    "llu": {"method": "llu", "damping": 1.0},
    "no maps": {"damping": 0.0},
    "protection 0": {"protection": 0.0},
    "protection 1": {"protection": 1.0},
    "protection 2": {"protection": 2.0},
    "32 neighbours": {"residual": {"neighbours": 32}},
    "no discriminant": {"discriminant": {"weight": 0.0}},
    "weight 9": {"discriminant": {"weight": 9.0}},
    "weight 36": {"discriminant": {"weight": 36.0}},
    "shrinkage 0.2": {"discriminant": {"shrinkage": 0.2}},
    "shrinkage 0.8": {"discriminant": {"shrinkage": 0.8}},
    "kappa 0.001": {"presence": {"kappa": 0.001}},
    "kappa 0.004": {"presence": {"kappa": 0.004}},
}


class Features:
    """A feature file."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as data:
            self.vectors, self.texts = unit(data["vectors"]), unit(data["text_vectors"])
            self.labels = data["labels"].astype(np.int64)
            self.class_names = [str(name) for name in data["class_names"]]
            self.logit_scale = float(data["logit_scale"]) if "logit_scale" in data else 100.0
            domains = data["domains"] if "domains" in data else np.full(len(self.labels), "all")
            self.domains = np.array([str(name).replace("_", " ") for name in domains])


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of length 1."""
    wide = vectors.astype(np.float64)
    short: NDArray[np.float32] = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return short


@dataclass(frozen=True, eq=False)
class Draw:
    """One stream of n events: indices into the features, canaries, and labels as they are given (-1: none)."""

    order: NDArray[np.int64]
    is_canary: NDArray[np.bool_]
    given: NDArray[np.int64]
    delay: int


def draw(features: Features, regime: str, seed: int) -> Draw:
    """The stream of a regime and a seed."""
    random = np.random.default_rng(1_000 + seed)
    classes = np.unique(features.labels[features.labels >= 0])
    canaries = random.permutation(classes)[: round(0.3 * len(classes))]
    is_canary = np.isin(features.labels, canaries)
    thinned = ~is_canary | (random.random(len(is_canary)) < (0.1 if regime == "rare" else 1.0))
    order = random.permutation(np.flatnonzero(thinned))
    by_domain = len(set(features.domains)) > 1
    if regime == "burst":
        half = min(len(order), SHUFFLED if by_domain else len(order)) // 2
        first = order[~is_canary[order]][:half]
        rest = order[~np.isin(order, first)]
        order = np.concatenate([first, rest[:half] if by_domain else rest])
    elif by_domain:
        order = np.concatenate([order[features.domains[order] == domain][:A_DOMAIN] for domain in DOMAINS])
    labels = features.labels[order]
    may_have = (labels >= 0) & ~is_canary[order]
    if regime in ("least", "most"):
        logits = features.logit_scale * features.vectors[order] @ features.texts.T
        confidence = torch.from_numpy(logits).softmax(dim=1).amax(dim=1).numpy()
        level = 0.3 if regime == "least" else 0.7
        threshold = np.array([np.quantile(confidence[: at + 1], level) for at in range(len(order))])
        has = may_have & (confidence <= threshold if regime == "least" else confidence >= threshold)
    else:
        has = may_have & (random.random(len(order)) < 0.3)
    given = np.where(has, labels, -1)
    if regime == "wrong":
        taught = np.setdiff1d(classes, canaries)
        for at in np.flatnonzero(has & (random.random(len(order)) < 0.1)):
            given[at] = random.choice(taught[taught != labels[at]])
    return Draw(order, is_canary[order], given, DELAY if regime == "late" else 0)


def stream(features: Features, the_draw: Draw, variant: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Zero-shot and adapted probabilities of every event when it came: (n, C), (n, C)."""
    vectors = features.vectors[the_draw.order]
    n = len(vectors)
    config = AdapterConfig.model_validate(
        {**VARIANTS[variant], "refit": {"background": False, "every_labels": EVERY_LABELS, "max_age_s": 1e9}}
    )
    adapter = Adapter(features.texts, features.class_names, features.logit_scale, config)
    zero_shot, adapted = np.empty((2, n, len(features.texts)), np.float32)
    executor = InlineExecutor()
    for start in range(0, n, BATCH):
        batch = np.arange(start, min(start + BATCH, n))
        answer = adapter.predict(vectors[batch])
        zero_shot[batch], adapted[batch] = answer.zero_shot, answer.adapted
        due = batch - the_draw.delay
        due = due[due >= 0]
        due = due[the_draw.given[due] >= 0]
        adapter.observe(TrafficWindow.of(answer.zero_shot, np.isin(batch, due), answer.adapted, vectors[batch]))
        adapter.mark_labelled(due)
        adapter.hear("study", adapter.evidence())
        adapter.learn(
            [Anchor(f"{at:08d}", vectors[at], features.class_names[the_draw.given[at]], at) for at in due.tolist()]
        )
        adapter.maintain(executor, float(start))
    return zero_shot, adapted


def calibration_error(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """ECE in % over 15 equal bins of confidence (Guo et al., ICML 2017)."""
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((15 * confidence).astype(int), 14)
    gaps = np.bincount(bins, weights=confidence - hit, minlength=15)
    return float(100 * np.abs(gaps).sum() / len(labels))


def score(path: Path, job: tuple[str, str, int]) -> NDArray[np.float64]:
    """Of one stream, for labelled classes and canaries: zero-shot and adapted accuracy, their ECE, all in %: (2, 4)."""
    torch.set_num_threads(1)
    regime, variant, seed = job
    features = Features(path)
    the_draw = draw(features, regime, seed)
    labels = features.labels[the_draw.order]
    both = stream(features, the_draw, variant)
    rows = []
    for group in ((labels >= 0) & ~the_draw.is_canary, the_draw.is_canary):
        hits = [float(100 * (model[group].argmax(axis=1) == labels[group]).mean()) for model in both]
        rows.append([*hits, *(calibration_error(model[group], labels[group]) for model in both)])
    return np.array(rows)


def tables(paths: list[Path], arguments: argparse.Namespace) -> Iterator[Table]:
    """One table for each file."""
    jobs = list(
        product(arguments.regimes, arguments.variants, range(arguments.first, arguments.first + arguments.seeds))
    )
    for path in paths:
        with ProcessPoolExecutor(arguments.processes) as pool:
            results = dict(zip(jobs, pool.map(partial(score, path), jobs), strict=True))
        table = Table("regime", "variant", "labelled", "worst", "canary", "worst", "ECE labelled", "ECE canary")
        table.title = f"{path.stem}: zero-shot → adapted, %, mean of {arguments.seeds}"
        for regime, variant in product(arguments.regimes, arguments.variants):
            runs = np.stack([value for job, value in results.items() if job[:2] == (regime, variant)])  # (seeds, 2, 4)
            (known, canary), worst = runs.mean(axis=0), (runs[:, :, 1] - runs[:, :, 0]).min(axis=0)
            cells = [f"{known[0]:.1f} → {known[1]:.1f}", f"{worst[0]:+.1f}"]
            cells += [f"{canary[0]:.1f} → {canary[1]:.1f}", f"{worst[1]:+.1f}"]
            table.add_row(
                regime, variant, *cells, f"{known[2]:.1f} → {known[3]:.1f}", f"{canary[2]:.1f} → {canary[3]:.1f}"
            )
        yield table


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="feature files")
    parser.add_argument("--seeds", type=int, default=10, help="draws")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--regimes", nargs="+", choices=REGIMES, default=REGIMES)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["ours"])
    parser.add_argument("--processes", type=int, default=1, help="streams at a time, one core each")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    console = Console(width=140)
    for table in tables(arguments.files, arguments):
        console.print(table)


if __name__ == "__main__":
    main()
