"""What the default method costs beside the untouched model, and what its anchors cost: one thread, processor time.

    OMP_NUM_THREADS=1 python benchmarks/adapter.py [--anchors 1000 10000] [--classes 171 1000] [--rounds 40]

Vectors are made up (512 numbers, in clusters around made-up class vectors), seeds are fixed. A round is a batch of 64
events, 19 of them labelled, with a full window of traffic. All kinds of work of a row are done in turn in every round,
and the median over rounds is shown: compare within a row, on a shared machine figures drift.
"""

import argparse
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.anchors.ownership import key_of
from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.learner import Events, Labels, LearnerContext
from stream_adapter.adapter.mixture.constants import DIRECTIONS
from stream_adapter.adapter.mixture.mixture import Mixture
from stream_adapter.config import AnchorsConfig, MixtureConfig

D = 512
BATCH = 64
LABELS = 19
INDEXES: tuple[Literal["exact", "hnsw"], ...] = ("exact", "hnsw")


class Times:
    """Processor time of several kinds of work, by name."""

    def __init__(self) -> None:
        self._spent: dict[str, list[float]] = defaultdict(list)

    def of(self, name: str, work: Callable[[], object]) -> None:
        """Do it."""
        started = time.process_time()
        work()
        self._spent[name].append(time.process_time() - started)

    def milliseconds(self, name: str) -> float:
        """The median."""
        return 1e3 * float(np.median(self._spent[name]))

    def each(self, *names: str, of: int = BATCH) -> float:
        """The medians' sum, divided by so many events or labels, in microseconds."""
        return sum(1e3 * self.milliseconds(name) / of for name in names)


class Stream:
    """Made-up class vectors and pictures: a picture's cosine is 0.7 with its class and 0.5 with others of its class."""

    def __init__(self, n_classes: int, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        texts = unit(self._random.normal(size=(n_classes, D)))
        self.classes = Classes(tuple(f"class {index}" for index in range(n_classes)), texts, 100.0)
        self._sent = 0

    def events(self, count: int) -> tuple[Events, list[Anchor]]:
        """The next pictures, of classes drawn at random, and the anchors that their labels would be."""
        labels = self._random.integers(len(self.classes), size=count)
        noise = self._random.normal(size=(count, D)) / np.sqrt(D)
        vectors = unit(self.classes.texts[labels] + noise)
        numbers = range(self._sent, self._sent + count)
        self._sent += count
        anchors = [
            Anchor(f"{number:032x}", vector, self.classes.names[label], number)
            for number, vector, label in zip(numbers, vectors, labels.tolist(), strict=True)
        ]
        return Events(np.array([key_of(anchor.anchor_id) for anchor in anchors], np.uint64), vectors), anchors


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of length 1."""
    short: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return short


def filled(stream: Stream, count: int, index: Literal["exact", "hnsw"], budget: int) -> Anchors:
    """So many anchors."""
    config = AnchorsConfig(budget=budget, budget_per_class=budget, index=index, recall_sample=0.0)
    anchors = Anchors(stream.classes, (), config)
    for _ in range(0, count, 1_000):
        anchors.take_in(stream.events(min(1_000, count))[1])
    anchors.maintain(InlineExecutor())
    return anchors


def zero_shot(vectors: NDArray[np.float32], classes: Classes) -> NDArray[np.float32]:
    """What CLIP itself costs after the image encoder: (n, D) -> (n, C)."""
    logits = classes.logit_scale * (vectors @ classes.texts.T)
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def learning(sizes: list[int], vocabularies: list[int], rounds: int) -> Iterator[Table]:
    """Cost of an event to the learner, and of a refresh."""
    columns = ("zero-shot", "predict", "update", "both", "less zero-shot", "refresh, ms", "of a core")
    table = Table("classes", "anchors", *columns)
    table.title = f"µs an event in batches of {BATCH}, {LABELS} of them labelled; a refresh a second"
    for n_classes, size in itertools.product(vocabularies, sizes):
        stream, now = Stream(n_classes), [0.0]
        anchors = filled(stream, size, "exact", 2 * size)
        learner = Mixture(stream.classes, anchors, MixtureConfig(), LearnerContext(clock=partial(_read, now)))
        for _ in range(0, MixtureConfig().window, 500):
            learner.update(stream.events(500)[0], Labels.none(D))
        times = Times()
        for _ in range(rounds):
            events, labelled = stream.events(BATCH)
            times.of("zero-shot", partial(zero_shot, events.vectors, stream.classes))
            times.of("predict", partial(learner.predict, events.vectors))
            new = anchors.take_in(labelled[:LABELS]).new
            times.of("update", partial(learner.update, events, Labels(*new)))
            now[0] += 1e3  # nothing but time passes: what is due is the refresh
            times.of("refresh", partial(_refresh, learner))
        both = times.each("predict", "update")
        refresh = times.milliseconds("refresh")
        events_ = (times.each("zero-shot"), times.each("predict"), times.each("update"), both)
        cells = (*events_, both - times.each("zero-shot"), refresh)
        table.add_row(f"{n_classes:,}", f"{size:,}", *(f"{cell:.0f}" for cell in cells), f"{refresh / 10:.1f} %")
    yield table


def _refresh(learner: Mixture) -> None:
    """What is due, and the model that the next answer would otherwise make of it."""
    learner.update(Events.none(D), Labels.none(D))
    learner.predict(np.zeros((0, D), np.float32))


def keeping(sizes: list[int], vocabularies: list[int], rounds: int) -> Iterator[Table]:
    """Cost of finding an event's nearest anchors, and of taking an anchor in: store, weight and index."""
    table = Table("classes", "anchors", "index", "query, µs an event", "insert, µs an anchor", "at the budget")
    table.title = f"anchors, batches of {BATCH} events or {LABELS} labels; at the budget each drives out another"
    for n_classes, size, index in itertools.product(vocabularies, sizes, INDEXES):
        stream = Stream(n_classes)
        matrix = np.linalg.qr(np.random.default_rng(0).normal(size=(D, DIRECTIONS)))[0].astype(np.float32)
        directions = Directions(matrix, 0.5 * DIRECTIONS / D, 1)
        times = Times()
        for kind, budget in (("insert", 2 * size), ("at the budget", size)):
            anchors = filled(stream, size, index, budget)
            anchors.set_directions(directions)
            anchors.take_in(stream.events(LABELS)[1])
            for _ in range(rounds):
                events, labelled = stream.events(BATCH)
                if kind == "insert":
                    times.of("query", partial(anchors.nearest, events.vectors, 16))
                times.of(kind, partial(anchors.take_in, labelled[:LABELS]))
        cells = (times.each("query"), times.each("insert", of=LABELS), times.each("at the budget", of=LABELS))
        table.add_row(f"{n_classes:,}", f"{size:,}", index, *(f"{cell:.0f}" for cell in cells))
    yield table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", type=int, nargs="+", default=[1_000, 10_000], help="how many")
    parser.add_argument("--classes", type=int, nargs="+", default=[171, 1_000], help="how many")
    parser.add_argument("--rounds", type=int, default=40, help="batches")
    arguments = parser.parse_args()
    asked = (arguments.anchors, arguments.classes, arguments.rounds)
    console = Console(width=120)
    for table in itertools.chain(learning(*asked), keeping(*asked)):
        console.print(table)


def _read(now: list[float]) -> float:
    return now[0]


if __name__ == "__main__":
    main()
