"""Do the drift monitors keep their promises? False alarms, power and delay in simulation, beside what others offer.

    python benchmarks/drift_study.py --streams 1000

Streams are seeded, so every run gives the same figures. The last line is JSON: for harm on unseen classes,
`false_alarms` among `streams` stationary streams of 20,000 labels whose harm is exactly the tolerated one (the hardest
case); and for harm of 5 points that begins at a random moment, the share found within 3,000 labels and the delay in
labels. The other tables need real vectors (PACS) and are left out where the shared data folder is absent. Those of
other libraries run on as many of the streams as their speed allows.
"""

import json
from collections.abc import Iterable
from typing import Annotated

import numpy as np
import typer
from drift_guard import cost_per_event, run_guard
from drift_rivals import Rival, adwin, kswin, mmd, page_hinkley
from drift_streams import Features, load_pacs, turning_up
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stream_adapter.adapter.class_presence import ClassPresence
from stream_adapter.drift.confidence_sequence import FRACTIONS
from stream_adapter.drift.embedding_shift import EmbeddingShift
from stream_adapter.drift.harm import START_EVERY, harm_factors
from stream_adapter.drift.new_class import NewClassNamer
from stream_adapter.drift.restarts import RestartMixture

console = Console(width=120)
TOLERANCE, ALPHA = 0.01, 0.01
LENGTH, WITHIN = 20_000, 3_000
NEVER = 10**9
PATTERNS = {"5 / 0": (0.05, 0.0), "7 / 2": (0.07, 0.02), "10 / 5": (0.10, 0.05)}  # losses / wins in % of pairs
HEADLINE = "7 / 2"


def draw(rng: np.random.Generator, loss: NDArray[np.float64], win: NDArray[np.float64], rows: int) -> NDArray[np.int8]:
    """Paired differences, int8 (rows, S), for streams with these shares of losses and wins (S,)."""
    draws = rng.random((rows, len(loss)))
    return np.asarray((draws > 1.0 - win).astype(np.int8) - (draws < loss).astype(np.int8))


def first_harm_alarms(
    seed: int, before: tuple[float, float], after: tuple[float, float], change: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    """First alarm of each stream, NEVER where there is none: (S,). The change comes at a block's beginning."""
    rng = np.random.default_rng(seed)
    first = np.full(len(change), NEVER)
    mixture = RestartMixture(len(FRACTIONS), START_EVERY, (len(change),))
    while mixture.observed < length:
        at = mixture.observed
        loss, win = np.where(at >= change, np.array(after)[:, None], np.array(before)[:, None])
        values = draw(rng, loss, win, mixture.room)
        over = mixture.advance(harm_factors(values, TOLERANCE)) >= 1.0 / ALPHA
        fresh = over.any(axis=0) & (first == NEVER)
        first[fresh] = at + over.argmax(axis=0)[fresh]
    return first


def changes(streams: int, seed: int) -> NDArray[np.int64]:
    """Random moments of change in the first half, at a block's beginning: (S,)."""
    return np.random.default_rng(seed).integers(0, LENGTH // 2 // START_EVERY, streams) * START_EVERY


def summary(first: Iterable[int], change: Iterable[int], within: int) -> dict[str, float]:
    """Share found, median and 95 % point of the delay; an alarm before the change is not one that found it."""
    pairs = zip(first, change, strict=True)
    late = [alarm - moment if moment <= alarm < NEVER else NEVER for alarm, moment in pairs]
    return {
        "found": float(np.mean(np.array(late) < within)),
        "median": float(np.quantile(late, 0.5, method="higher")),
        "p95": float(np.quantile(late, 0.95, method="higher")),
    }


def harm_study(streams: int, progress: Progress) -> dict[str, float]:
    """Prints the harm tables, returns the figures of the JSON line."""
    parts = np.array_split(np.arange(streams), max(streams // 250, 1))
    task = progress.add_task("harm", total=(1 + len(PATTERNS)) * streams)
    table = Table(
        "losses / wins, % of pairs", "found in 3,000 labels", "median delay", "95 % delay", title="Harm of 5 points"
    )
    false_alarms = 0
    figures: dict[str, float] = {}
    for number, part in enumerate(parts):
        boundary = (0.03, 0.02)
        false_alarms += int((first_harm_alarms(number, boundary, boundary, np.zeros(len(part)), LENGTH) < NEVER).sum())
        progress.advance(task, len(part))
    for name, (loss, win) in PATTERNS.items():
        first, moments = [], []
        calm = ((loss + win) / 2, (loss + win) / 2)  # as many discordant pairs before the change, without harm
        for number, part in enumerate(parts):
            change = changes(len(part), seed=number)
            first += first_harm_alarms(1_000 + number, calm, (loss, win), change, LENGTH // 2 + WITHIN).tolist()
            moments += change.tolist()
            progress.advance(task, len(part))
        result = summary(first, moments, WITHIN)
        table.add_row(name, f"{result['found']:.1%}", *(delay(result[key]) for key in ("median", "p95")))
        if name == HEADLINE:
            figures = result
    console.print(table)
    console.print(
        f"False alarms on harm: {false_alarms} of {streams} stationary streams of {LENGTH:,} labels, α = 1 %\n"
    )
    return {
        "streams": streams,
        "false_alarms": false_alarms,
        "found_share": figures["found"],
        "median_delay": figures["median"],
        "p95_delay": figures["p95"],
    }


def compare(
    title: str,
    rivals: dict[str, tuple[Rival, int]],
    still: list[NDArray[np.float64]],
    moving: list[NDArray[np.float64]],
    change: list[int],
    within: int,
    progress: Progress,
) -> None:
    """A table of rivals, each on as many of the streams as it can be run on in reasonable time."""
    table = Table(
        "detector", "streams", "false alarms", f"found in {within:,}", "median delay", "95 % delay", title=title
    )
    task = progress.add_task(title, total=sum(number for _, number in rivals.values()))
    for name, (rival, number) in rivals.items():
        number = min(number, len(still))
        false = sum(next(iter(rival(values)), None) is not None for values in still[:number])
        first = []
        for values, moment in zip(moving[:number], change, strict=False):
            first.append(next((row for row in rival(values) if row >= moment), NEVER))
            progress.advance(task)
        result = summary(first, change[:number], within)
        row = (f"{result['found']:.0%}", delay(result["median"]), delay(result["p95"]))
        table.add_row(name, str(number), f"{false} ({false / number:.0%})", *row)
    console.print(table)


def harm_rivals(streams: int, progress: Progress) -> None:
    """ADWIN, Page-Hinkley and KSWIN on paired differences mapped to [0, 1].

    Two scenes: harm that begins mid-stream with few discordant pairs; and harm that is there from the start, its false
    alarms counted on streams with many discordant pairs.
    """
    number = max(streams // 20, 4)
    rivals: dict[str, tuple[Rival, int]] = {
        "ours": (_ours, number),
        "ADWIN, δ 0.002": (adwin(0.002), number),
        "ADWIN, δ 1e-5": (adwin(1e-5), number),
        "Page-Hinkley, λ 50": (page_hinkley(50.0), number),
        "Page-Hinkley, λ 20": (page_hinkley(20.0), number),
        "KSWIN, α 0.005": (kswin(0.005), 2),
    }
    rng = np.random.default_rng(99)
    change = changes(number, seed=99).tolist()
    ones = np.ones(number)
    calm, harm = draw(rng, 0.045 * ones, 0.045 * ones, LENGTH // 2), draw(rng, 0.07 * ones, 0.02 * ones, WITHIN)
    moving = [values[LENGTH // 2 - at :] for values, at in zip(np.concatenate([calm, harm]).T, change, strict=True)]
    scenes = {
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
        unit = [[(values + 1.0) / 2.0 for values in group] for group in (still, moved)]
        compare(title, rivals, unit[0], unit[1], moments, WITHIN, progress)


def _ours(values: NDArray[np.float64]) -> Iterable[int]:
    mixture = RestartMixture(len(FRACTIONS), START_EVERY)
    scores = np.rint(values * 2.0 - 1.0)
    while mixture.observed < len(scores):
        at = mixture.observed
        path = mixture.advance(harm_factors(scores[at : at + mixture.room], TOLERANCE))
        yield from (at + np.flatnonzero(path >= 1.0 / ALPHA)).tolist()


def domain_study(features: Features, streams: int, progress: Progress) -> None:
    """Photo to cartoon after 3,000 events, ours on vectors, others on zero-shot confidence."""
    rng = np.random.default_rng(5)
    photo, cartoon = features.pool("photo"), features.pool("cartoon")
    runs, still_runs, change = max(streams // 2, 4), max(streams // 10, 4), 3_000
    moving = [np.concatenate([rng.choice(photo, change), rng.choice(cartoon, 300)]) for _ in range(runs)]
    still = [rng.choice(photo, LENGTH) for _ in range(still_runs)]
    task = progress.add_task("domain change", total=runs + 6 * still_runs)
    first, false = [], 0
    for seed, rows in enumerate(moving):
        signals = EmbeddingShift(alpha=ALPHA, seed=seed).observe(features.vectors[rows])
        first.append(next((signal.row for signal in signals if signal.row >= change), NEVER))
        false += any(signal.row < change for signal in signals)
        progress.advance(task)
    quiet = 0
    for seed, rows in enumerate(still):
        quiet += bool(EmbeddingShift(alpha=ALPHA, seed=seed).observe(features.vectors[rows]))
        progress.advance(task, 6)
    result = summary(first, [change] * runs, 300)
    console.print(
        f"Photo → cartoon, ours: {result['found']:.1%} of {runs} found in 300 events, median {delay(result['median'])}"
        f", 95 % {delay(result['p95'])}; false alarms {false} of {runs} before the change, {quiet} of {still_runs} "
        f"streams of {LENGTH:,} photos\n"
    )
    confidence = features.zero_shot.max(axis=1).astype(np.float64)
    rivals: dict[str, tuple[Rival, int]] = {
        "ADWIN, δ 0.002": (adwin(0.002), 50),
        "ADWIN, δ 1e-5": (adwin(1e-5), 50),
        "Page-Hinkley, λ 50": (page_hinkley(50.0), 50),
        "KSWIN, α 0.005": (kswin(0.005), 2),
    }
    compare(
        "Photo → cartoon, zero-shot confidence",
        rivals,
        [confidence[rows] for rows in still],
        [confidence[rows] for rows in moving],
        [change] * runs,
        300,
        progress,
    )
    vectors = features.vectors.astype(np.float64)
    compare(
        "Photo → cartoon, image vectors (stationary streams cut to 3,000)",
        {
            "ours": (lambda x: (s.row for s in EmbeddingShift(alpha=ALPHA).observe(x)), 20),
            "MMD, p < 0.005": (mmd(0.005), 10),
        },
        [vectors[rows[:3_000]] for rows in still],
        [vectors[rows] for rows in moving],
        [change] * runs,
        300,
        progress,
    )


def named(
    features: Features, rows: NDArray[np.int64], unlabelled: int | None, looks: Iterable[int], seed: int
) -> list[tuple[int, int]]:
    """Moments and classes that the namer names; 30 % of the events are labelled, none of class `unlabelled`."""
    labelled = (np.random.default_rng([seed, 11]).random(len(rows)) < 0.3) & (
        features.labels[rows] != (-2 if unlabelled is None else unlabelled)
    )
    known = np.setdiff1d(features.labels[rows], [] if unlabelled is None else [unlabelled])
    has_anchor = np.isin(np.arange(len(features.class_names)), known)
    presence, namer = ClassPresence(len(features.class_names)), NewClassNamer(len(features.class_names))
    found, seen = [], 0
    for look in looks:
        presence.observe(features.zero_shot[rows[seen:look]], labelled[seen:look])
        signals = namer.observe(presence.evidence(), has_anchor, look - seen)
        seen = look
        found += [(look, signal.subject) for signal in signals]
    return found


def new_class_study(features: Features, streams: int, progress: Progress) -> None:
    """A class turns up at 2 % after 2,500 events; and streams in which none does."""
    table = Table("domain", "class", "found in 500", "median delay", "another named", title="A class turns up at 2 %")
    runs, at = max(streams // 25, 4), 2_500
    task = progress.add_task("new class", total=3 * (6 * runs + 3 * runs))
    for domain in ("photo", "cartoon", "art_painting"):
        for new in features.classes(domain):
            first, others = [], 0
            for seed in range(runs):
                rng = np.random.default_rng([seed, new])
                rows, turned = turning_up(rng, features, domain, new, at, at + 501, 0.02)
                looks = [*range(500, at, 250), *range(turned + 25, turned + 501, 25)]
                found = named(features, rows, new, looks, seed)
                first.append(next((look for look, name in found if name == new), NEVER))
                others += any(name != new for _, name in found)
                progress.advance(task)
            result = summary(first, [at] * runs, 501)
            name = features.class_names[new]
            table.add_row(domain, name, f"{result['found']:.0%}", delay(result["median"]), f"{others} of {runs}")
        false, quiet = 0, runs * (4 if domain == "photo" else 1)
        for seed in range(quiet):
            rows = np.random.default_rng([seed, 1]).choice(features.pool(domain), LENGTH)
            false += bool(named(features, rows, None, range(500, LENGTH + 1, 250), seed))
            progress.advance(task, 3 * runs / quiet)
        table.add_row(domain, "none", "", "", f"{false} of {quiet}", end_section=True)
    console.print(table)


def guard_study(features: Features, streams: int, progress: Progress) -> None:
    """Tip-Adapter, with 16 anchors per class and two canary classes."""
    columns = (
        "domain",
        "guard",
        "unseen: zero-shot",
        "undamped",
        "published",
        "seen: zero-shot",
        "undamped",
        "published",
    )
    table = Table(*columns, "lowered", "raised", title="Guard, accuracy in % after the first 2,000 events")
    runs = max(streams // 200, 2)
    task = progress.add_task("guard", total=9 * runs)
    for domain in ("photo", "cartoon", "art_painting"):
        for mode, scope in (("alarm only", "classes"), ("act", "classes"), ("act", "overall")):
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
            label = mode if mode == "alarm only" else scope
            table.add_row(domain, label, *shown, f"{mean['lowered']:.1f}", f"{mean['raised']:.1f}")
    console.print(table)


def delay(value: float) -> str:
    """A delay for a table."""
    return "–" if value >= NEVER else f"{value:,.0f}"


def main(streams: Annotated[int, typer.Option(min=4, help="Streams in the main simulation.")] = 100) -> None:
    """Run the study."""
    features = load_pacs()
    with Progress(console=console) as progress:
        line = harm_study(streams, progress)
        harm_rivals(streams, progress)
        if features is None:
            console.print("The shared data folder is absent: no tables on real vectors.")
        else:
            domain_study(features, streams, progress)
            new_class_study(features, streams, progress)
            guard_study(features, streams, progress)
            console.print(
                f"Cost of all monitors together: {cost_per_event(features):.1f} µs of processor time per event\n"
            )
    print(json.dumps(line))


if __name__ == "__main__":
    typer.run(main)
