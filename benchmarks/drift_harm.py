"""Harm on unseen classes: false alarms at exactly the tolerated harm, power and delay for a harm of 5 points."""

from collections.abc import Iterable

import numpy as np
from drift_rivals import Rival, adwin, kswin, own_adwin, page_hinkley
from drift_tables import ALPHA, LENGTH, NEVER, WITHIN, compare, console, delay, summary
from numpy.typing import NDArray
from rich.progress import Progress
from rich.table import Table

from stream_adapter.drift.harm import BET_WEIGHTS, START_EVERY, harm_factors
from stream_adapter.drift.harm_groups import SHARE_OVERALL
from stream_adapter.drift.restarts import RestartMixture

TOLERANCE = 0.01
LEVEL = ALPHA * SHARE_OVERALL  # as the monitor tests all unseen events together
PATTERNS = {"5 / 0": (0.05, 0.0), "7 / 2": (0.07, 0.02), "10 / 5": (0.10, 0.05)}  # shares of losses and wins
HEADLINE = "7 / 2"
BOUNDARIES = {"3 / 2": (0.03, 0.02), "15 / 14": (0.15, 0.14)}


def draw(rng: np.random.Generator, loss: NDArray[np.float64], win: NDArray[np.float64], rows: int) -> NDArray[np.int8]:
    """Paired differences, int8 (rows, S), for streams with these shares of losses and wins (S,)."""
    draws = rng.random((rows, len(loss)))
    return np.asarray((draws > 1.0 - win).astype(np.int8) - (draws < loss).astype(np.int8))


def first_alarms(
    seed: int, before: tuple[float, float], after: tuple[float, float], change: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    """First alarm of each stream, NEVER where there is none: (S,), looked at after every label."""
    rng = np.random.default_rng(seed)
    first = np.full(len(change), NEVER)
    mixture = RestartMixture(BET_WEIGHTS, START_EVERY, (len(change),))
    while mixture.observed < length:
        at = mixture.observed
        rows = min(mixture.room, length - at)
        numbers = at + np.arange(rows)[:, None]  # (rows, 1)
        changed = numbers >= change  # (rows, S)
        draws = rng.random((rows, len(change)))
        loss, win = (np.where(changed, new, old) for old, new in zip(before, after, strict=True))
        values = (draws > 1.0 - win).astype(np.int8) - (draws < loss).astype(np.int8)
        over = mixture.advance(harm_factors(values, TOLERANCE)) >= 1.0 / LEVEL
        fresh = over.any(axis=0) & (first == NEVER)
        first[fresh] = at + over.argmax(axis=0)[fresh]
    return first


def harm_study(streams: int, progress: Progress) -> dict[str, float]:
    """Prints the harm tables, returns the figures of the JSON line."""
    parts = np.array_split(np.arange(streams), max(streams // 250, 1))
    task = progress.add_task("harm", total=(len(BOUNDARIES) + 2 * len(PATTERNS)) * streams)
    false_alarms = dict.fromkeys(BOUNDARIES, 0)
    for seed, (name, boundary) in enumerate(BOUNDARIES.items()):
        for number, part in enumerate(parts):
            first = first_alarms(100 * seed + number, boundary, boundary, np.zeros(len(part), dtype=int), LENGTH)
            false_alarms[name] += int((first < NEVER).sum())
            progress.advance(task, len(part))
    table = Table("begins", "losses / wins, %", "found in 3,000 labels", "median", "95 %", title="Harm of 5 points")
    figures: dict[str, float] = {}
    for begins in ("mid-stream", "at the start"):
        for name, (loss, win) in PATTERNS.items():
            alarms, moments = list[int](), list[int]()
            calm = ((loss + win) / 2, (loss + win) / 2)  # as many discordant pairs before the change, without harm
            for number, part in enumerate(parts):
                change = np.random.default_rng(number).integers(0, LENGTH // 2, len(part)) * (begins == "mid-stream")
                length = int(change.max()) + WITHIN
                alarms += first_alarms(1_000 + number, calm, (loss, win), change, length).tolist()
                moments += change.tolist()
                progress.advance(task, len(part))
            result = summary(alarms, moments, WITHIN)
            table.add_row(begins, name, f"{result['found']:.1%}", delay(result["median"]), delay(result["p95"]))
            if (name, begins) == (HEADLINE, "mid-stream"):
                figures = result
    console.print(table)
    for name, number in false_alarms.items():
        console.print(f"False alarms at {name}: {number} of {streams} stationary streams of {LENGTH:,} labels")
    console.print()
    return {
        "streams": streams,
        "false_alarms": false_alarms["3 / 2"],
        "found_share": figures["found"],
        "median_delay": figures["median"],
        "p95_delay": figures["p95"],
    }


def harm_rivals(streams: int, progress: Progress) -> None:
    """The same question put to others, who watch the mean of the differences, scaled to [0, 1]."""
    number = max(streams // 10, 4)
    rivals: dict[str, tuple[Rival, int]] = {
        "ours": (_ours, number),
        "ADWIN, δ 0.002": (adwin(0.002), number),
        "ADWIN, δ 1e-5": (adwin(1e-5), number),
        "ADWIN, δ 1e-5, the package's": (own_adwin(1e-5), number),
        "Page-Hinkley, λ 50": (page_hinkley(50.0), number),
        "Page-Hinkley, λ 20": (page_hinkley(20.0), number),
        "KSWIN, α 0.005": (kswin(0.005), max(number // 20, 2)),
        "KSWIN, α 1e-5": (kswin(1e-5), max(number // 20, 2)),
    }
    rng = np.random.default_rng(99)
    change = rng.integers(0, LENGTH // 2, number).tolist()
    ones = np.ones(number)
    calm, harm = draw(rng, 0.045 * ones, 0.045 * ones, LENGTH // 2), draw(rng, 0.07 * ones, 0.02 * ones, WITHIN)
    moving = [values[LENGTH // 2 - at :] for values, at in zip(np.concatenate([calm, harm]).T, change, strict=True)]
    scenes: dict[str, tuple[Iterable[NDArray[np.int8]], Iterable[NDArray[np.int8]], list[int]]] = {
        "Harm mid-stream, 7 / 2; false alarms on 3 / 2": (
            draw(rng, 0.03 * ones, 0.02 * ones, LENGTH).T,
            moving,
            change,
        ),
        "Harm from the start, 7 / 2; false alarms on 15 / 14": (
            draw(rng, 0.15 * ones, 0.14 * ones, LENGTH).T,
            draw(rng, 0.07 * ones, 0.02 * ones, WITHIN).T,
            [0] * number,
        ),
    }
    for title, (still, moved, moments) in scenes.items():
        calm_unit, moved_unit = (
            [(values.astype(np.float64) + 1.0) / 2.0 for values in group] for group in (still, moved)
        )
        compare(title, rivals, calm_unit, moved_unit, moments, WITHIN, progress)


def _ours(values: NDArray[np.float64]) -> Iterable[int]:
    mixture = RestartMixture(BET_WEIGHTS, START_EVERY)
    scores = np.rint(values * 2.0 - 1.0)
    while mixture.observed < len(scores):
        at = mixture.observed
        path = mixture.advance(harm_factors(scores[at : at + mixture.room], TOLERANCE))
        yield from (at + np.flatnonzero(path >= 1.0 / LEVEL)).tolist()
