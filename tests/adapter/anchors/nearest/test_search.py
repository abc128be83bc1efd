from typing import Literal

import numpy as np
import pytest

from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.nearest.neighbours import exact
from stream_adapter.adapter.anchors.nearest.search import GROW_AT, SHRINK_AT, NearestAnchors
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.config import AnchorsConfig
from tests.adapter.anchor_sets import HeldExecutor, offer, random_unit

D = 16
VECTORS = random_unit(600, D)
QUERIES = random_unit(20, D, seed=1)


class Indexed:
    def __init__(self) -> None:
        self.store = AnchorStore(["cat"], D)
        self.index = NearestAnchors(self.store, AnchorsConfig(), 0, (200, 100))
        self.executor = HeldExecutor()
        self.used = 0

    def resize(self, count: int) -> None:
        rows = []
        while len(self.store) < count:
            rows.append(offer(self.store, Anchor(f"{self.used:04d}", VECTORS[self.used], "cat", self.used)).row)
            self.used += 1
        self.index.add(np.array(rows, np.int64))
        gone = [self.store.take_out(anchor_id).row for anchor_id in sorted(self.store.ids)[: len(self.store) - count]]
        self.index.remove(np.array(gone, np.int64))
        self.index.maintain(self.executor)

    def check_answers(self) -> None:
        found = self.index.query(QUERIES, 5)
        truth = exact(self.store, QUERIES, 5)
        np.testing.assert_allclose(found.cosines, truth.cosines, atol=1e-6)


def test_exact_search_becomes_a_graph_in_the_background_and_answers_meanwhile() -> None:
    indexed = Indexed()
    indexed.resize(199)
    assert indexed.executor.held == 0
    indexed.resize(200)
    assert (indexed.executor.held, indexed.index.statistics.kind) == (1, "exact")
    indexed.resize(220)
    indexed.resize(215)
    indexed.check_answers()
    indexed.executor.run()
    indexed.resize(215)
    assert (indexed.index.statistics.kind, indexed.index.statistics.live) == ("hnsw", 215)
    indexed.check_answers()
    indexed.resize(300)
    indexed.check_answers()


def test_it_goes_back_only_well_below_and_may_grow_again() -> None:
    indexed = Indexed()
    indexed.resize(200)
    indexed.executor.run()
    for count in (200, 150, 100):
        indexed.resize(count)
        assert indexed.index.statistics.kind == "hnsw"
    indexed.resize(99)
    kind: str = indexed.index.statistics.kind
    assert kind == "exact"
    indexed.check_answers()
    indexed.resize(250)
    indexed.executor.run()
    indexed.resize(250)
    assert indexed.index.statistics.kind == "hnsw"
    indexed.check_answers()


def test_a_graph_that_is_ready_too_late_is_dropped_again() -> None:
    indexed = Indexed()
    indexed.resize(200)
    indexed.resize(50)
    indexed.executor.run()
    indexed.resize(50)
    indexed.resize(50)
    assert indexed.index.statistics.kind == "exact"
    indexed.check_answers()


def test_what_the_first_build_raises_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    indexed = Indexed()
    indexed.resize(200)

    def fail(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("stream_adapter.adapter.anchors.nearest.graph.Graph.add", fail)
    indexed.executor.run()
    with pytest.raises(MemoryError, match="no room"):
        indexed.resize(200)


@pytest.mark.parametrize(("index", "kind"), [("exact", "exact"), ("auto", "exact"), ("hnsw", "hnsw")])
def test_the_configuration_chooses(index: Literal["exact", "auto", "hnsw"], kind: str) -> None:
    store = AnchorStore(["cat"], D)
    search = NearestAnchors(store, AnchorsConfig(index=index), 0)
    found = [search.statistics.kind]
    search.add(np.array([offer(store, Anchor("a", VECTORS[0], "cat", 0)).row], np.int64))
    search.maintain(InlineExecutor())
    assert [*found, search.statistics.kind] == [kind, kind]
    assert SHRINK_AT < GROW_AT


def test_a_graph_over_a_store_that_is_filled_already_is_built_in_the_background() -> None:
    store, executor = AnchorStore(["cat"], D), HeldExecutor()
    offer(store, Anchor("a", VECTORS[0], "cat", 0))
    search = NearestAnchors(store, AnchorsConfig(index="hnsw"), 0)
    search.maintain(executor)
    assert search.statistics.kind == "exact"
    executor.run()
    search.maintain(executor)
    assert (search.statistics.kind, search.statistics.rebuilds) == ("hnsw", 0)
