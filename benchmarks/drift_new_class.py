"""A class of the vocabulary that nobody labelled turns up at 2 % of the traffic; and streams in which none does."""

import numpy as np
from drift_streams import Features, turning_up
from drift_tables import LENGTH, NEVER, console, delay, summary
from numpy.typing import NDArray
from rich.progress import Progress
from rich.table import Table

from stream_adapter.drift.new_class import NewClassNamer

AT, WITHIN, SHARE, LABELLED = 2_500, 500, 0.02, 0.3
_BATCH = 512  # the namer answers the same for any


def named(features: Features, rows: NDArray[np.int64], new: int | None, seed: int) -> list[tuple[int, int]]:
    """Moments and classes that the namer names; 30 % of the events are labelled, none of class `new`."""
    labels, n_classes = features.labels[rows], len(features.class_names)
    labelled = (np.random.default_rng([seed, 11]).random(len(rows)) < LABELLED) & (labels != new)
    known = np.isin(np.arange(n_classes), labels) & (np.arange(n_classes) != new)
    namer, found = NewClassNamer(n_classes), []
    for start in range(0, len(rows), _BATCH):
        batch = slice(start, start + _BATCH)
        ids = [""] * len(rows[batch])
        signals = namer.observe(features.zero_shot[rows[batch]], labelled[batch], known, ids)
        found += [(start + signal.row, signal.index) for signal in signals]
    return found


def new_class_study(features: dict[str, Features], streams: int, progress: Progress) -> None:
    """`streams` runs over the classes of each data set, and as many stationary streams of two kinds.

    Args:
        features: PACS and WHU-RS19, as far as they are there.
        streams: runs of each kind and data set.
        progress: shows how far it is.
    """
    for data, source in features.items():
        domains = sorted(set(source.domains.tolist()))
        table = Table("domain", "class", "runs", "named in 500", "median", "another named too", title=f"{data}, at 2 %")
        cases = [(domain, new) for domain in domains for new in source.classes(domain)]
        runs = max(streams // len(cases), 2)
        task = progress.add_task(f"new class, {data}", total=runs * len(cases) + 2 * streams)
        shares = []
        for domain, new in cases:
            first, others = [], 0
            for seed in range(runs):
                rng = np.random.default_rng([seed, new])
                rows, _ = turning_up(rng, source, domain, new, AT, AT + WITHIN, SHARE)
                found = named(source, rows, new, seed)
                first.append(next((row for row, index in found if index == new), NEVER))
                others += any(index != new for _, index in found)
                progress.advance(task)
            result = summary(first, [AT] * runs, WITHIN)
            shares.append(result["found"])
            name = source.class_names[new]
            table.add_row(
                domain, name, str(runs), f"{result['found']:.0%}", delay(result["median"]), f"{others / runs:.0%}"
            )
        table.add_row("all", "", str(runs * len(cases)), f"{np.mean(shares):.1%}", "", "")
        console.print(table)
        for kind in ("drawn again and again, 20,000 events", "each picture once"):
            false = dict.fromkeys(domains, 0)
            for seed in range(streams):
                domain = domains[seed % len(domains)]
                pool, rng = source.pool(domain), np.random.default_rng([seed, 1])
                rows = rng.choice(pool, LENGTH) if kind.startswith("drawn") else rng.permutation(pool)
                false[domain] += bool(named(source, rows, None, seed))
                progress.advance(task)
            shown = ", ".join(f"{domain} {number}" for domain, number in false.items())
            console.print(
                f"{data}, no new class, {kind}: {sum(false.values())} of {streams} streams named one ({shown})"
            )
        console.print()
