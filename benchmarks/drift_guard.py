"""The guard with an adapter that is harmful on purpose, and what all monitors together cost."""

import time

import numpy as np
from drift_streams import Features, tip_adapter
from numpy.typing import NDArray

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
    actions = {"guard lowered": 0, "guard raised": 0}
    for start in range(0, events, BATCH):
        batch = rows[start : start + BATCH]
        labels, zero_shot = features.labels[batch], features.zero_shot[batch]
        adapted = tip_adapter(features, batch, anchors)
        published = monitor.guard.damp(zero_shot, adapted)
        tops = {"zero_shot": zero_shot.argmax(1), "undamped": adapted.argmax(1), "published": published.argmax(1)}
        for name, top in tops.items():
            hits[name][start : start + BATCH] = top == labels
        ids = [str(number) for number in range(start, start + len(batch))]
        alarms = monitor.observe_labels(labels, tops["zero_shot"], tops["published"], tops["undamped"], has_anchor, ids)
        for alarm in alarms:
            if alarm.kind in actions:
                actions[alarm.kind] += 1
    late = np.arange(events) >= SETTLED
    unseen = np.isin(features.labels[rows], canaries)
    figures = {
        f"{group}_{name}": float(right[late & member].mean())
        for group, member in (("unseen", unseen), ("seen", ~unseen))
        for name, right in hits.items()
    }
    return {**figures, "lowered": float(actions["guard lowered"]), "raised": float(actions["guard raised"])}


def cost_per_event(features: Features, events: int = 12_800) -> float:
    """Processor microseconds per event for all that the monitor does, at batch 64 with a third labelled."""
    rng = np.random.default_rng(3)
    rows = rng.choice(features.pool("photo"), events)
    has_anchor = np.isin(np.arange(len(features.class_names)), features.classes("photo")[:-1])
    monitor = DriftMonitor(features.class_names, features.logit_scale, ~has_anchor)
    ids = [str(number) for number in range(BATCH)]
    cosines: NDArray[np.float32] = rng.uniform(0.6, 0.95, BATCH).astype(np.float32)
    labelled = np.arange(0, BATCH, 3)
    seconds = []
    for start in range(0, events, BATCH):
        batch = rows[start : start + BATCH]
        vectors, zero_shot, labels = features.vectors[batch], features.zero_shot[batch], features.labels[batch]
        top = zero_shot.argmax(axis=1)[labelled]
        begin = time.process_time()
        monitor.observe_traffic(vectors, zero_shot, cosines, has_anchor, ids)
        monitor.observe_labels(labels[labelled], top, top, top, has_anchor, ids)
        seconds.append(time.process_time() - begin)
    return float(np.mean(seconds)) / BATCH * 1e6
