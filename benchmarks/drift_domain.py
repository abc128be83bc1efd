"""An abrupt change of domain, PACS photo to cartoon after 3,000 events: ours, and others on what they can take."""

from collections.abc import Iterable

import numpy as np
from drift_rivals import Rival, adwin, kswin, mmd, own_adwin, page_hinkley
from drift_streams import Features
from drift_tables import ALPHA, LENGTH, NEVER, compare, console, delay, summary
from numpy.typing import NDArray
from rich.progress import Progress

from stream_adapter.drift.embedding_shift import EmbeddingShift
from stream_adapter.drift.settings import DriftSettings

CHANGE, WITHIN = 3_000, 300
_RUN = 64  # as the monitor samples


def domain_study(features: Features, streams: int, progress: Progress) -> None:
    """As the monitor looks, at one run of 64 events in four; then beside others, at all events."""
    rng = np.random.default_rng(5)
    photo, cartoon = features.pool("photo"), features.pool("cartoon")
    task = progress.add_task("domain change", total=streams)
    first, early, false, moving, still = [], 0, 0, [], []
    for seed in range(streams):
        moving.append(np.concatenate([rng.choice(photo, CHANGE), rng.choice(cartoon, WITHIN)]))
        alarms = list(sampled_alarms(features.vectors, moving[-1], seed))
        first.append(next((row for row in alarms if row >= CHANGE), NEVER))
        early += any(row < CHANGE for row in alarms)
        still.append(rng.choice(photo, LENGTH))
        false += next(iter(sampled_alarms(features.vectors, still[-1], seed)), None) is not None
        progress.advance(task)
    result = summary(first, [CHANGE] * streams, WITHIN)
    console.print(
        f"Photo → cartoon, as the monitor looks: {result['found']:.1%} of {streams} found in {WITHIN} events, median "
        f"{delay(result['median'])}, 95 % {delay(result['p95'])}; {early} alarmed before the change; {false} of "
        f"{streams} streams of {LENGTH:,} photos alarmed\n"
    )
    number = max(streams // 10, 4)
    confidence = features.zero_shot.max(axis=1).astype(np.float64)
    rivals: dict[str, tuple[Rival, int]] = {
        "ADWIN, δ 0.002": (adwin(0.002), number),
        "ADWIN, δ 1e-5": (adwin(1e-5), number),
        "ADWIN, δ 1e-5, the package's": (own_adwin(1e-5), number),
        "Page-Hinkley, λ 50": (page_hinkley(50.0), number),
        "Page-Hinkley, λ 20": (page_hinkley(20.0), number),
        "KSWIN, α 0.005": (kswin(0.005), max(number // 20, 2)),
    }
    title = "Photo → cartoon, zero-shot confidence"
    calm, changing = ([confidence[rows] for rows in group[:number]] for group in (still, moving))
    compare(title, rivals, calm, changing, [CHANGE] * number, WITHIN, progress)
    few = max(streams // 50, 2)
    vectors = features.vectors.astype(np.float64)
    compare(
        "Photo → cartoon, image vectors (stationary streams cut to 3,000)",
        {
            "ours, every event": (lambda x: (signal.row for signal in EmbeddingShift(512, ALPHA).observe(x)), few),
            "ours, one run in four": (lambda x: sampled_alarms(x, np.arange(len(x)), 0), few),
            "MMD, p < 0.005": (mmd(0.005), few),
        },
        [vectors[rows[:3_000]] for rows in still[:few]],
        [vectors[rows] for rows in moving[:few]],
        [CHANGE] * few,
        WITHIN,
        progress,
    )


def sampled_alarms(vectors: NDArray[np.floating], rows: NDArray[np.int64], seed: int) -> Iterable[int]:
    """Where in the stream `vectors[rows]` a detector alarms that sees what the monitor's sees."""
    settings = DriftSettings()
    sampled = np.flatnonzero(np.arange(len(rows)) // _RUN % settings.sample_every == 0)
    detector = EmbeddingShift(settings.reference_events, settings.alpha, seed)
    for batch in np.array_split(sampled, max(len(sampled) // 512, 1)):
        yield from (int(batch[signal.row]) for signal in detector.observe(vectors[rows[batch]]))
