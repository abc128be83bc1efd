"""The guard with an adapter that is harmful on purpose, and what all monitors together cost."""

import time

import numpy as np
from drift_streams import Features, tip_adapter
from drift_tables import console
from numpy.typing import NDArray
from rich.progress import Progress
from rich.table import Table

from stream_adapter.drift.guard import Mode, Scope
from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.settings import DriftSettings

BATCH = 64
SETTLED = 2_000  # events after which unseen classes must be back


def run_guard(features: Features, domain: str, mode: Mode, scope: Scope, seed: int, events: int) -> dict[str, float]:
    """One stream under Tip-Adapter with 16 anchors per labelled class; two classes are canaries.

    Returns:
        Accuracy on canaries (unseen) and labelled classes (seen) of zero-shot, of the adapter undamped and as
        published, over the events after the first 2,000, and how often the guard lowered and raised a damping.
    """
    rng = np.random.default_rng([seed, 7])
    classes = features.classes(domain)
    canaries = rng.permutation(classes)[:2]
    seen = [c for c in classes if c not in canaries]
    anchors = np.concatenate([rng.choice(features.pool(domain, [c]), 16, replace=False) for c in seen])
    rows = rng.choice(np.setdiff1d(features.pool(domain), anchors), events)
    canary, has_anchor = (np.isin(np.arange(len(features.class_names)), group) for group in (canaries, seen))
    settings = DriftSettings(mode=mode, scope=scope)
    monitor = DriftMonitor(features.class_names, features.logit_scale, canary, settings)
    hits = {
        "zero_shot": np.zeros(events, bool),
        "undamped": np.zeros(events, bool),
        "published": np.zeros(events, bool),
    }
    actions: dict[str, int] = {"lowered": 0, "raised": 0}
    last: dict[str, str] = {}
    changes = dict.fromkeys([*features.class_names, "overall"], 0)
    for start in range(0, events, BATCH):
        batch = rows[start : start + BATCH]
        labels, zero_shot = features.labels[batch], features.zero_shot[batch]
        adapted = tip_adapter(features, batch, anchors)
        published = monitor.guard.damp(zero_shot, adapted)
        tops = {"zero_shot": zero_shot.argmax(1), "undamped": adapted.argmax(1), "published": published.argmax(1)}
        for name, top in tops.items():
            hits[name][start : start + BATCH] = top == labels
        nearest = (features.vectors[batch] @ features.vectors[anchors].T).max(axis=1)
        alarms = monitor.observe(
            vectors=features.vectors[batch],
            zero_shot=zero_shot,
            adapted=adapted,
            has_anchor=has_anchor,
            presence=np.ones(len(has_anchor), np.float32),
            novelty=1.0 - zero_shot.max(axis=1),
            nearest_cosine=nearest,
            event_ids=[str(number) for number in range(start, start + len(batch))],
            labels=labels,
        )
        for alarm in alarms:
            if alarm.kind == "guard":
                actions[alarm.action] += 1
                changes[alarm.group] += last.get(alarm.group, alarm.action) != alarm.action
                last[alarm.group] = alarm.action
    late = np.arange(events) >= SETTLED
    unseen = np.isin(features.labels[rows], canaries)
    figures = {
        f"{group}_{name}": float(right[late & member].mean())
        for group, member in (("unseen", unseen), ("seen", ~unseen))
        for name, right in hits.items()
    }
    return {
        **figures,
        "lowered": float(actions["lowered"]),
        "raised": float(actions["raised"]),
        "changes": float(max(changes.values())),
    }


def cost_per_event(features: Features, events: int = 12_800) -> float:
    """Processor microseconds per event for all that the monitor does, at batch 64 with a third labelled."""
    rng = np.random.default_rng(3)
    rows = rng.choice(features.pool("photo"), events)
    has_anchor = np.isin(np.arange(len(features.class_names)), features.classes("photo")[:-1])
    monitor = DriftMonitor(features.class_names, features.logit_scale, ~has_anchor)
    ids = [str(number) for number in range(BATCH)]
    cosines: NDArray[np.float32] = rng.uniform(0.6, 0.95, BATCH).astype(np.float32)
    labelled = np.arange(BATCH) % 3 == 0
    seconds = []
    for start in range(0, events, BATCH):
        batch = rows[start : start + BATCH]
        vectors, zero_shot = features.vectors[batch], features.zero_shot[batch]
        novelty = 1.0 - zero_shot.max(axis=1)
        labels = np.where(labelled, features.labels[batch], -1)
        begin = time.process_time()
        monitor.observe(
            vectors=vectors,
            zero_shot=zero_shot,
            adapted=zero_shot,
            has_anchor=has_anchor,
            presence=np.ones(len(has_anchor), np.float32),
            novelty=novelty,
            nearest_cosine=cosines,
            event_ids=ids,
            labels=labels,
        )
        seconds.append(time.process_time() - begin)
    return float(np.mean(seconds)) / BATCH * 1e6


def guard_study(features: Features, streams: int, progress: Progress) -> None:
    """Tip-Adapter, with 16 anchors per class and two canary classes."""
    columns = ("unseen: p0", "undamped", "published", "seen: p0", "undamped", "published")
    title = "Guard, accuracy after the first 2,000 of 10,000 events, mean of {} streams; changes of direction at most"
    runs = max(streams // 100, 2)
    table = Table("domain", "guard", *columns, "lowered", "raised", "changes", title=title.format(runs))
    task = progress.add_task("guard", total=9 * runs)
    guards: tuple[tuple[Mode, Scope], ...] = (("alarm_only", "classes"), ("act", "classes"), ("act", "overall"))
    for domain in ("photo", "cartoon", "art_painting"):
        for mode, scope in guards:
            results = []
            for seed in range(runs):
                results.append(run_guard(features, domain, mode, scope, seed, 10_000))
                progress.advance(task)
            mean = {key: float(np.mean([result[key] for result in results])) for key in results[0]}
            shown = [
                f"{mean[f'{group}_{name}']:.1%}"
                for group in ("unseen", "seen")
                for name in ("zero_shot", "undamped", "published")
            ]
            label = mode if mode == "alarm_only" else scope
            counts = (f"{mean['lowered']:.1f}", f"{mean['raised']:.1f}")
            table.add_row(domain, label, *shown, *counts, f"{max(result['changes'] for result in results):.0f}")
    console.print(table)
