"""Which anchors should go? Policies side by side at budgets of 25 %, 5 % and 1 % of what an unpruned run ends with.

    python benchmarks/pruning_study.py --data FOLDER --results FILE.jsonl [--seeds 5] [--streams …] [--policies …]

FOLDER has `whurs19_clip_vitb32.npz` and `pacs_clip_vitb16.npz`. Streams are `evaluate stream`'s: 30 % labelled, 30 % of
the classes canaries, batches of 64, prequential; all that is varied is the policy and the budget.

    whurs19         shuffled, all 1,005 events
    pacs            shuffled, 3,600 events
    pacs drift      photo, then art painting, then cartoon, 1,200 events each
    … wrong         a tenth of the labels is wrong
    pacs long       shuffled, 20,000 events: mixtures of two PACS vectors of the same class and domain
    pacs long drift by domain

Every run is one line of FILE; a run that is there already is not repeated, so that the study can be interrupted.
`--effort light` leaves the maps out (`damping: 0`), `medium` fits them in 60 steps every 64 changes, `full` is all
defaults. The long streams are fitted every 256 changes.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pruning_centres import CENTRES
from pruning_rivals import SELECTING, Rival
from rich.console import Console
from rich.table import Table

from stream_adapter.config import AdapterConfig
from stream_adapter.evaluate.features import UNKNOWN, Features, read_features
from stream_adapter.evaluate.methods import Batch, Lessons
from stream_adapter.evaluate.methods.base import Task
from stream_adapter.evaluate.methods.worker_adapter import WorkerAdapter
from stream_adapter.evaluate.stream import StreamPlan, StreamSettings, plan_stream, run_stream

RIVALS = {**SELECTING, **CENTRES}
SHIPPED, UNPRUNED = "shipped", "unpruned"
EFFORTS: dict[str, dict[str, Any]] = {
    "light": {"damping": 0.0},
    "medium": {"refit": {"steps": 60, "every_labels": 64, "max_age_s": 1e9}},
    "full": {},
}
LONG = 20_000
STREAMS: dict[str, tuple[str, StreamSettings]] = {
    "whurs19": ("whurs19_clip_vitb32.npz", StreamSettings()),
    "whurs19 wrong": ("whurs19_clip_vitb32.npz", StreamSettings(label_noise=0.1)),
    "pacs": ("pacs_clip_vitb16.npz", StreamSettings(events=3_600)),
    "pacs wrong": ("pacs_clip_vitb16.npz", StreamSettings(events=3_600, label_noise=0.1)),
    "pacs drift": ("pacs_clip_vitb16.npz", StreamSettings(events=3_600, order="by-domain")),
    "pacs drift wrong": ("pacs_clip_vitb16.npz", StreamSettings(events=3_600, order="by-domain", label_noise=0.1)),
    "pacs long": ("pacs_clip_vitb16.npz", StreamSettings(events=LONG)),
    "pacs long drift": ("pacs_clip_vitb16.npz", StreamSettings(events=LONG, order="by-domain")),
}


DOMAINS = ("photo", "art_painting", "cartoon")


@dataclass(frozen=True)
class Job:
    """One run."""

    stream: str
    effort: str
    policy: str
    share: float
    seed: int

    @property
    def key(self) -> str:
        """What it is found by in the file of results."""
        return f"{self.stream}|{self.effort}|{self.policy}|{self.share:g}|{self.seed}"


class Watched(WorkerAdapter):
    """The worker's adapter; a rival in the place of its pruner hears of labels before they are learned."""

    def __init__(self, task: Task, rival: type[Rival] | None, budget: int) -> None:
        super().__init__(task)
        self._rival = rival(self._adapter, budget, task.texts) if rival else None
        if self._rival is not None:
            self._adapter._pruner = self._rival  # type: ignore[assignment]

    @property
    def anchors(self) -> int:
        """How many there are."""
        return self._adapter.n_anchors

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Learn."""
        if self._rival is not None:
            rows = np.searchsorted(batch.ids, lessons.ids)  # no delay: all lessons are of this batch
            ids = [self._event(id, None).anchor_id for id in lessons.ids.tolist()]
            self._rival.taught(self._answer(batch.vectors), rows, lessons.classes, ids)
        super().update(batch, lessons)


def features_of(folder: Path, stream: str, seed: int) -> Features:
    """The stream's events; for a long one more of them than there are pictures."""
    features = read_features(folder / STREAMS[stream][0])
    if len(features.domain_names) > 1:  # they come in the order in which they are named first
        features = chosen(features, np.argsort([DOMAINS.index(str(name)) for name in features.domains], kind="stable"))
    if "long" not in stream:
        return features
    # Two pictures of the same class and domain, mixed around their mean so that the spread stays what it was: pictures
    # that were not there before, and that nobody can know by heart.
    random = np.random.default_rng(seed)
    groups = [
        np.flatnonzero((features.labels == label) & (features.domains == domain))
        for label, domain in product(np.unique(features.labels), features.domain_names)
    ]
    parts = []
    for group in groups:
        count = -(-len(group) * (LONG + 2_000) // len(features))
        one, other = random.choice(group, count), random.choice(group, count)
        angle = random.uniform(0.0, np.pi / 2, (count, 1))
        mean = features.vectors[group].mean(axis=0)
        mixed = mean + np.cos(angle) * (features.vectors[one] - mean) + np.sin(angle) * (features.vectors[other] - mean)
        parts.append(replace(chosen(features, one), vectors=unit(mixed)))
    return replace(
        features,
        vectors=np.concatenate([part.vectors for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        domains=np.concatenate([part.domains for part in parts]),
    )


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of length 1."""
    short: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return short


def chosen(features: Features, rows: NDArray[np.int64]) -> Features:
    """Some rows, in this order."""
    return replace(
        features, vectors=features.vectors[rows], labels=features.labels[rows], domains=features.domains[rows]
    )


def run(job: Job, folder: Path) -> dict[str, Any]:
    """Accuracy of labelled classes and canaries in %, adapted and zero-shot, and what it cost."""
    started = time.process_time()
    features, settings = features_of(folder, job.stream, job.seed), STREAMS[job.stream][1]
    plan = plan_stream(features, settings, job.seed)
    labels = int((plan.taught != UNKNOWN).sum())
    budget = labels if job.policy == UNPRUNED else max(1, round(job.share * labels))
    method = Watched(task_of(job, features, plan, budget), RIVALS.get(job.policy), budget)
    answers = run_stream(method, features, plan, settings, lambda _: None)
    zero_shot = (features.vectors[plan.rows] @ features.vocabulary.text_vectors.T).argmax(axis=1)
    is_canary = (plan.truth != UNKNOWN) & plan.canary[plan.truth]
    result: dict[str, Any] = {"key": job.key, "labels": labels, "budget": budget, "anchors": method.anchors}
    for group, rows in (("labelled", (plan.truth != UNKNOWN) & ~is_canary), ("canary", is_canary)):
        result[group] = 100 * float(answers[rows].hits.mean())
        result[f"{group} zero-shot"] = 100 * float((zero_shot == plan.truth)[rows].mean())
    return result | {"seconds": time.process_time() - started}


def task_of(job: Job, features: Features, plan: StreamPlan, budget: int) -> Task:
    """What the method is told."""
    config: dict[str, Any] = dict(EFFORTS[job.effort])
    if "long" in job.stream:
        config["refit"] = {**config.get("refit", {}), "every_labels": 256, "max_age_s": 1e9}
    # A rival prunes in the place of the adapter's own policy.
    config["anchors"] = {"budget": budget, "budget_per_class": 1_000_000}
    names = tuple(features.vocabulary.class_names[index] for index in np.flatnonzero(plan.canary))
    return Task(features.vocabulary, names, job.seed, AdapterConfig.model_validate(config))


def tables(jobs: list[Job], results: dict[str, dict[str, Any]]) -> list[Table]:
    """One table for each stream: policies by budget."""
    groups: dict[tuple[str, str], dict[tuple[str, float], list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for job in jobs:
        if job.key in results:
            groups[job.stream, job.effort][job.policy, job.share].append(results[job.key])
    return [table(*key, group) for key, group in groups.items()]


def table(stream: str, effort: str, group: dict[tuple[str, float], list[dict[str, Any]]]) -> Table:
    """Means over seeds, and the share of the unpruned gain that is kept, over the seeds that both have."""
    rows = Table("policy", "share", "seeds", "anchors", "labelled", "of the gain kept", "canary", "against zero-shot")
    rows.title = f"{stream}, {effort}"
    unpruned = {result["key"].rpartition("|")[2]: result for result in group.get((UNPRUNED, 1.0), [])}
    for (policy, share), runs in group.items():
        pairs = [(run, unpruned[seed]) for run in runs if (seed := run["key"].rpartition("|")[2]) in unpruned]
        gain = np.mean([run["labelled"] - run["labelled zero-shot"] for run, _ in pairs]) if pairs else np.nan
        full = np.mean([whole["labelled"] - whole["labelled zero-shot"] for _, whole in pairs]) if pairs else np.nan
        mean = {name: float(np.mean([run[name] for run in runs])) for name in ("labelled", "canary", "anchors")}
        shift = float(np.mean([run["canary"] - run["canary zero-shot"] for run in runs]))
        cells = [policy, f"{share:.0%}", str(len(runs)), f"{mean['anchors']:.0f}", f"{mean['labelled']:.2f}"]
        rows.add_row(*cells, f"{100 * gain / full:.1f} %", f"{mean['canary']:.2f}", f"{shift:+.2f}")
    return rows


def main() -> None:
    """Run what is missing, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("STREAM_ADAPTER_DATA", "../shared/data")))
    parser.add_argument("--results", type=Path, default=Path("pruning_study.jsonl"))
    parser.add_argument("--seeds", type=int, default=5, help="draws")
    parser.add_argument("--streams", nargs="+", choices=STREAMS, default=list(STREAMS))
    parser.add_argument("--policies", nargs="+", choices=[*RIVALS, SHIPPED], default=[*RIVALS, SHIPPED])
    parser.add_argument("--shares", nargs="+", type=float, default=[0.25, 0.05, 0.01])
    parser.add_argument("--effort", choices=EFFORTS, default="light")
    parser.add_argument("--print-only", action="store_true", help="print what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, dict[str, Any]] = {}
    if arguments.results.exists():
        lines = arguments.results.read_text().splitlines()
        results = {result["key"]: result for result in map(json.loads, lines)}
    jobs = [
        Job(stream, arguments.effort, policy, share, seed)
        for seed, stream in product(range(arguments.seeds), arguments.streams)
        for policy, share in [(UNPRUNED, 1.0), *product(arguments.policies, arguments.shares)]
    ]
    for job in jobs:
        if job.key not in results and not arguments.print_only:
            results[job.key] = run(job, arguments.data)
            with arguments.results.open("a") as file:
                file.write(json.dumps(results[job.key]) + "\n")
    console = Console(width=130)
    for one in tables(jobs, results):
        console.print(one)


if __name__ == "__main__":
    main()
