"""The adapter's floor: what an event costs to predict, to learn and to prune, and what a refit costs.

    python benchmarks/adapter.py [--anchors 1000 10000 100000] [--rounds 5]

Vectors are made up (512 numbers, in clusters around made-up class vectors), seeds are fixed. Ratios are between figures
of one run, taken in turn and the best of each: on a shared machine the absolute ones drift. Set OMP_WAIT_POLICY=passive
where other processes use the same cores: torch's threads otherwise wait for each other actively, and a refit takes
several times as long.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from stream_adapter.adapter.latent_update import FitSettings, fit
from stream_adapter.adapter.neighbours import Neighbours
from stream_adapter.adapter.traffic_window import TrafficWindow

from stream_adapter.adapter import Adapter, Anchor
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.config import AdapterConfig, AnchorsConfig, RefitConfig

D = 512
BATCH = 64
CLASSES = (171, 1_000)
INDEXES: tuple[Literal["exact", "hnsw"], ...] = ("exact", "hnsw")
METHODS: tuple[Literal["ours", "llu"], ...] = ("ours", "llu")
FITS = ((200, 10), (200, 171), (2_000, 10), (2_000, 171))
STEPS = 100


def best(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of each kind of work, the best of `rounds`, run in turn."""
    fastest = dict.fromkeys(work, float("inf"))
    for _, (name, run) in itertools.product(range(rounds + 1), work.items()):
        started = time.perf_counter()
        run()
        fastest[name] = min(fastest[name], 1e3 * (time.perf_counter() - started))
    return fastest


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of length 1."""
    short: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return short


class Stream:
    """Made-up class vectors and pictures: a picture's cosine is 0.7 with its class and 0.5 with others of its class."""

    def __init__(self, classes: int, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self.texts = unit(self._random.normal(size=(classes, D)))
        self.names = [f"class {index}" for index in range(classes)]
        self._count = 0

    def vectors(self, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """A new picture of each of these classes: (n, D)."""
        return unit(self.texts[labels] + self._random.normal(size=(len(labels), D)) / np.sqrt(D))

    def anchors(self, count: int) -> list[Anchor]:
        """The next labelled pictures, of classes drawn at random."""
        labels = self._random.integers(len(self.names), size=count)
        vectors = self.vectors(labels)
        made = [
            Anchor(f"{self._count + index:032x}", vectors[index], self.names[label], self._count + index)
            for index, label in enumerate(labels.tolist())
        ]
        self._count += count
        return made


def adapter_of(
    stream: Stream, anchors: int, index: Literal["exact", "hnsw"], method: Literal["ours", "llu"] = "ours"
) -> Adapter:
    """An adapter full to its budget, fitted once, in one step: what a fit finds does not change what an event costs."""
    config = AdapterConfig(
        method=method,
        anchors=AnchorsConfig(budget=anchors, budget_per_class=anchors, index=index, recall_sample=0.0),
        refit=RefitConfig(background=False, every_labels=1, steps=1),
    )
    adapter = Adapter(stream.texts, stream.names, 100.0, config)
    adapter.learn(stream.anchors(anchors))
    adapter.maintain(InlineExecutor(), 0.0)
    return adapter


def ratio(value: float, base: float) -> str:
    """How many times the base."""
    return f"{value / base:.2f}"


def predicting(sizes: list[int], rounds: int) -> Iterator[Table]:
    """Cost of an event that is predicted, by size of store and vocabulary and by index."""
    table = Table("anchors", "classes", "exact µs/event", "hnsw µs/event", "hnsw ÷ exact", "without anchors")
    table.title = f"predict, batches of {BATCH}"
    for anchors, classes in itertools.product(sizes, CLASSES):
        stream = Stream(classes)
        queries = stream.vectors(np.arange(BATCH) % classes)
        adapters = {"exact": adapter_of(stream, anchors, "exact"), "hnsw": adapter_of(Stream(classes), anchors, "hnsw")}
        adapters["empty"] = Adapter(stream.texts, stream.names, 100.0, AdapterConfig())
        times = best({name: partial(adapter.predict, queries) for name, adapter in adapters.items()}, 2 * rounds)
        exact, hnsw, empty = (1e3 * times[name] / BATCH for name in ("exact", "hnsw", "empty"))
        table.add_row(f"{anchors:,}", f"{classes:,}", f"{exact:.0f}", f"{hnsw:.0f}", ratio(hnsw, exact), f"{empty:.0f}")
    yield table


class Found:
    """Stands for the index: has the answer already."""

    def __init__(self, answer: Neighbours) -> None:
        self._answer = answer

    def query(self, vectors: NDArray[np.float32], k: int) -> Neighbours:
        """The same as ever."""
        return self._answer


def beyond_the_query(sizes: list[int], rounds: int) -> Iterator[Table]:
    """Cost of an event without the search for its nearest anchors, by method; one core."""
    table = Table("anchors", "classes", "zero-shot alone", *METHODS)
    table.title = f"predict without the query, batches of {BATCH}, µs/event, one thread"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for anchors, classes in itertools.product(sizes, CLASSES):
        stream = Stream(classes)
        queries = stream.vectors(np.arange(BATCH) % classes)
        adapters = {method: adapter_of(Stream(classes), anchors, "exact", method) for method in METHODS}
        adapters["none"] = Adapter(stream.texts, stream.names, 100.0, AdapterConfig())
        for adapter in adapters.values():
            adapter._index = Found(adapter._index.query(queries, adapter._settings.neighbours))  # type: ignore[assignment]
        times = best({name: partial(adapter.predict, queries) for name, adapter in adapters.items()}, 10 * rounds)
        costs = (f"{1e3 * times[name] / BATCH:.0f}" for name in ("none", *METHODS))
        table.add_row(f"{anchors:,}", f"{classes:,}", *costs)
    torch.set_num_threads(threads)
    yield table


def traffic(sizes: list[int]) -> Iterator[Table]:
    """Cost of what is done in the background besides the maps, and once a second."""
    table = Table("anchors", "classes", "read all anchors, s", "own evidence, ms", "hear it, ms", "adjust to it, ms")
    table.title = "traffic: a full window of 2,000 events"
    for anchors, classes in itertools.product(sizes, CLASSES):
        stream = Stream(classes)
        started = time.perf_counter()
        adapter_of(Stream(classes), anchors, "exact", "llu")
        between = time.perf_counter()
        adapter = adapter_of(stream, anchors, "exact", "ours")
        reading = (time.perf_counter() - between) - (between - started)
        random = np.random.default_rng(0)
        beliefs = random.dirichlet(np.full(classes, 0.01), 2_000).astype(np.float32)
        vectors = stream.texts[beliefs.argmax(axis=1)]
        adapter.observe(TrafficWindow.of(beliefs, random.random(2_000) < 0.3, beliefs, vectors))
        times = []
        evidence = adapter.evidence()
        steps: tuple[Callable[[], object], ...] = (
            adapter.evidence,
            partial(adapter.hear, "own", evidence),
            partial(adapter.maintain, InlineExecutor(), 1e9),
        )
        for step in steps:
            started = time.perf_counter()
            step()
            times.append(f"{1e3 * (time.perf_counter() - started):.0f}")
        table.add_row(f"{anchors:,}", f"{stream.texts.shape[0]:,}", f"{reading:.1f}", *times)
    yield table


def learning(sizes: list[int]) -> Iterator[Table]:
    """Cost of an anchor while the store fills and when it is full."""
    table = Table("anchors", "index", "empty → full µs/anchor", "at budget: 1 anchor ms", "20 together, ms/anchor")
    table.title = f"learn, {CLASSES[0]} classes; at the budget each anchor drives out another"
    for anchors, index in itertools.product(sizes, INDEXES):
        stream = Stream(CLASSES[0])
        started = time.perf_counter()
        adapter = adapter_of(stream, anchors, index)
        filling = 1e6 * (time.perf_counter() - started) / anchors
        adapter.learn(stream.anchors(400))  # every class's nearest pairs are known after this
        single = [stream.anchors(1) for _ in range(100)]
        together = [stream.anchors(20) for _ in range(10)]
        medians = []
        for batches in (single, together):
            times = []
            for batch in batches:
                started = time.perf_counter()
                adapter.learn(batch)
                times.append(1e3 * (time.perf_counter() - started) / len(batch))
            medians.append(float(np.median(times)))
        table.add_row(f"{anchors:,}", index, f"{filling:.0f}", f"{medians[0]:.2f}", f"{medians[1]:.2f}")
    yield table


def refitting(rounds: int) -> Iterator[Table]:
    """Cost of a fit."""
    table = Table("anchors", "classes", f"{STEPS} steps, s", "÷ first row")
    table.title = f"refit, {torch.get_num_threads()} torch threads"
    settings = FitSettings(logit_scale=100.0, damping=1.0, steps=STEPS, learning_rate=1e-3, rho=1e4)
    work = {}
    for anchors, classes in FITS:
        stream = Stream(classes)
        labels = np.arange(anchors) % classes
        vectors = torch.from_numpy(stream.vectors(labels))
        arguments = (vectors, torch.from_numpy(labels), torch.from_numpy(stream.texts), settings)
        work[f"{anchors:,} {classes}"] = partial(fit, *arguments)
    times = best(work, rounds)
    first = next(iter(times.values()))
    for name, milliseconds in times.items():
        table.add_row(*name.split(), f"{milliseconds / 1e3:.2f}", ratio(milliseconds, first))
    yield table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="sizes of the store")
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many counts")
    arguments = parser.parse_args()
    console = Console()
    tables = (
        refitting(arguments.rounds),
        beyond_the_query(arguments.anchors, arguments.rounds),
        traffic(arguments.anchors),
        predicting(arguments.anchors, arguments.rounds),
        learning(arguments.anchors),
    )
    for table in itertools.chain(*tables):
        console.print(table)


if __name__ == "__main__":
    main()
