"""How costs grow with anchors and classes: the learner's own arithmetic, and the search for the nearest anchors.

    OMP_NUM_THREADS=1 python benchmarks/growth.py [--anchors 1000 10000 100000] [--classes 10 171 1000 10000] [--json F]

Vectors are those of `adapter.py` (made up, 512 numbers). All sizes are asked in turn, round by round, batches of 64
events with 19 labels, processor time, medians. `graph` is the default search where it is a graph, with the share of the
16 nearest that it finds. A presence record is what a worker says about its traffic, which must fit the broker's limit.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from adapter import BATCH, LABELS, D, Stream, Times, filled
from rich.console import Console
from rich.table import Table

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.learner import Labels, LearnerContext
from stream_adapter.adapter.mixture.mixture import Mixture
from stream_adapter.config import MixtureConfig

_K = 16
_QUERIES = 256  # for the recall


class Case:
    """A learner with so many classes and anchors, its window full.

    Args:
        n_classes: C.
        n_anchors: n.
        search: whether to search for the nearest.
        graphs_up_to: most anchors of which there is a graph.
    """

    def __init__(self, n_classes: int, n_anchors: int, *, search: bool, graphs_up_to: int) -> None:
        self.n_classes, self.n_anchors = n_classes, n_anchors
        self._stream, self._now_s = Stream(n_classes), 0.0
        graph = search and n_anchors <= graphs_up_to
        self._exact = filled(self._stream, n_anchors, "exact", 2 * n_anchors)
        self._graph = filled(Stream(n_classes), n_anchors, "hnsw", 2 * n_anchors) if graph else None
        self._search = search
        context = LearnerContext(clock=lambda: self._now_s, publishes=True)
        self._learner = Mixture(self._stream.classes, self._exact, MixtureConfig(), context)
        self.largest_record = 0
        for _ in range(0, MixtureConfig().window, 500):
            self._learner.update(self._stream.events(500)[0], Labels.none(D))
            self._say()
        self.times = Times()

    def round(self) -> None:
        """A batch."""
        events, labelled = self._stream.events(BATCH)
        self.times.of("predict", partial(self._learner.predict, events.vectors))
        new = []
        self.times.of("anchors", lambda: new.append(self._exact.take_in(labelled[:LABELS]).new))
        self.times.of("update", partial(self._learner.update, events, Labels(*new[0])))
        if self._search:
            self.times.of("exact", partial(self._exact.nearest, events.vectors, _K))
        if self._graph is not None:
            self.times.of("graph", partial(self._graph.nearest, events.vectors, _K))

    def refresh(self) -> None:
        """Nothing but time passes: what the window says is asked anew, and told."""
        events, _ = self._stream.events(BATCH)
        self._learner.predict(events.vectors)
        self._learner.update(events, Labels.none(D))
        self._now_s += 1e3
        none = self._stream.events(0)[0]
        self.times.of("refresh", partial(self._learner.update, none, Labels.none(D)))
        self._say()

    def figures(self) -> dict[str, Any]:
        """Microseconds of an event (or label), and what else there is to say."""
        found: dict[str, Any] = {"classes": self.n_classes, "anchors": self.n_anchors}
        found["arithmetic_us"] = self.times.each("predict", "update")
        found["anchor_us"] = self.times.each("anchors", of=LABELS)
        found["refresh_ms"] = self.times.milliseconds("refresh")
        found["record_bytes"] = self.largest_record
        if self._search:
            found["exact_us"] = self.times.each("exact")
        if self._graph is not None:
            found["graph_us"], found["recall"] = self.times.each("graph"), self._recall(self._graph)
        return found

    def _say(self) -> None:
        records = self._learner.records()
        self.largest_record = max([self.largest_record, *map(len, records.values())])
        self._learner.follow(Labels.none(D), records)

    def _recall(self, graph: Anchors) -> float:
        vectors = self._stream.events(_QUERIES)[0].vectors
        truth = np.argpartition(-(vectors @ graph.vectors.T), _K, axis=1)[:, :_K]
        found = graph.slots_of(graph.nearest(vectors, _K).rows)
        return float(np.mean([np.isin(one, other).mean() for one, other in zip(truth, found, strict=True)]))


def main() -> None:
    """Measure, print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", type=int, nargs="*", default=[1_000, 10_000, 100_000], help="at 171 classes")
    parser.add_argument("--classes", type=int, nargs="*", default=[10, 171, 1_000, 10_000], help="at 10,000 anchors")
    parser.add_argument("--graphs", type=int, default=100_000, help="most anchors of which there is one")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the rows here")
    arguments = parser.parse_args()
    rows = []
    for by, sizes in (
        ("anchors", [(171, anchors) for anchors in arguments.anchors]),
        ("classes", [(classes, 10_000) for classes in arguments.classes]),
    ):
        cases = [Case(*size, search=by == "anchors", graphs_up_to=arguments.graphs) for size in sizes]
        for number in range(arguments.rounds):
            for case in cases:
                case.round()
                if number % 5 == 0:
                    case.refresh()
        rows += [{"by": by, **case.figures()} for case in cases]
        del cases
    names = ("arithmetic_us", "exact_us", "graph_us", "anchor_us", "refresh_ms", "record_bytes")
    table = Table("classes", "anchors", *names, "recall")
    for row in rows:
        cells = [f"{row[name]:,.0f}" if name in row else "" for name in ("classes", "anchors", *names)]
        table.add_row(*cells, f"{row['recall']:.3f}" if "recall" in row else "")
    Console(width=120).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
