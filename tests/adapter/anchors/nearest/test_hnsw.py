import numpy as np
import pytest
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.nearest.graph import Graph
from stream_adapter.adapter.anchors.nearest.neighbours import exact
from stream_adapter.adapter.anchors.nearest.search import NearestAnchors
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.config import AnchorsConfig
from tests.adapter.anchor_sets import HeldExecutor, around, offer, random_unit

D = 32
CONFIG = AnchorsConfig(recall_sample=1.0)
VECTORS = around(random_unit(20, D, seed=5), per_class=150, spread=0.8)  # 3,000
QUERIES = around(random_unit(20, D, seed=5), per_class=4, spread=0.8, seed=9)


class Indexed:
    """A store and its HNSW index, changed together as the adapter does."""

    def __init__(self, count: int = 0, config: AnchorsConfig = CONFIG) -> None:
        self.store = AnchorStore(["cat"], D)
        self.index = NearestAnchors(self.store, config, 0, (0, 0))
        self.used = 0
        self.add(count)

    def add(self, count: int) -> None:
        rows = []
        for vector in VECTORS[self.used : self.used + count]:
            rows.append(offer(self.store, Anchor(f"{self.used:05d}", vector, "cat", self.used)).row)
            self.used += 1
        self.index.add(np.array(rows, np.int64))

    def remove_oldest(self, count: int) -> None:
        oldest = sorted(self.store.ids)[:count]
        self.index.remove(np.array([self.store.take_out(anchor_id).row for anchor_id in oldest], np.int64))

    def recall(self, k: int = 16) -> float:
        found = self.index.query(QUERIES, k).rows
        truth = exact(self.store, QUERIES, k).rows
        pairs = zip(found, truth, strict=True)
        return float(np.mean([np.isin(one, other).mean() for one, other in pairs]))


def test_nearly_all_true_neighbours_are_found_as_the_graph_grows_beyond_its_first_capacity() -> None:
    indexed = Indexed()
    while indexed.used < len(VECTORS):
        indexed.add(250)
    assert indexed.index.statistics.live == 3_000
    assert indexed.recall() > 0.95


def test_as_many_at_once_as_a_restore_brings_are_left_to_a_graph_built_in_the_background() -> None:
    indexed = Indexed(100)
    indexed.add(2_000)
    assert indexed.index.statistics.kind == "exact" and indexed.recall() == 1.0
    indexed.index.maintain(InlineExecutor())
    assert indexed.index.statistics.kind == "hnsw" and indexed.index.statistics.live == 2_100


def test_half_tombstones_lead_to_a_rebuild_that_catches_up_with_what_came_meanwhile() -> None:
    indexed = Indexed(1_000)
    executor = HeldExecutor()
    indexed.remove_oldest(499)
    indexed.index.maintain(executor)
    assert executor.held == 0
    indexed.remove_oldest(1)
    indexed.index.maintain(executor)
    assert executor.held == 1

    # Meanwhile: anchors come, old ones go, and some come and go again.
    indexed.add(300)
    indexed.remove_oldest(100)
    came_and_went = [indexed.store.take_out(f"{1_299 - i:05d}").row for i in range(50)]
    indexed.index.remove(np.array(came_and_went))
    assert indexed.index.statistics.tombstones == 650  # the old graph still answers
    assert indexed.recall() > 0.95

    executor.run()
    indexed.index.maintain(executor)  # 250 late ones are too many to insert here: another round
    assert (indexed.index.statistics.rebuilds, executor.held) == (0, 1)
    indexed.add(10)
    executor.run()
    indexed.index.maintain(executor)
    statistics = indexed.index.statistics
    assert (statistics.rebuilds, statistics.live, statistics.tombstones) == (1, 660, 100)
    assert executor.held == 0
    assert indexed.recall() > 0.95
    indexed.add(100)  # and it goes on living
    indexed.remove_oldest(400)
    assert indexed.recall() > 0.95


def test_every_live_anchor_finds_itself_after_a_rebuild() -> None:
    indexed = Indexed(600)
    indexed.remove_oldest(400)
    executor = HeldExecutor()
    indexed.index.maintain(executor)
    indexed.add(40)
    executor.run()
    indexed.index.maintain(executor)
    assert indexed.index.statistics.rebuilds == 1
    found = indexed.index.query(indexed.store.vectors, 1)
    assert (found.rows[:, 0] == indexed.store.rows).all()
    np.testing.assert_allclose(found.cosines[:, 0], 1.0, atol=1e-6)


def test_few_tombstones_are_not_worth_a_rebuild() -> None:
    indexed = Indexed(120)
    indexed.remove_oldest(120)
    executor = HeldExecutor()
    indexed.index.maintain(executor)
    assert executor.held == 0


def test_what_a_background_rebuild_raises_surfaces_in_the_owner_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    indexed = Indexed(300)
    indexed.remove_oldest(200)
    executor = HeldExecutor()
    indexed.index.maintain(executor)

    def fail(*_: object) -> None:
        raise MemoryError("no room for the graph")

    monkeypatch.setattr(Graph, "add", fail)
    executor.run()
    with pytest.raises(MemoryError, match="no room"):
        indexed.index.maintain(executor)


def test_a_graph_that_cannot_answer_is_replaced_by_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    indexed = Indexed(200)

    def fail(*_: object) -> NDArray[np.int64]:
        raise RuntimeError("Cannot return the results in a contiguous 2D array. Probably ef or M is too small")

    monkeypatch.setattr(Graph, "query", fail)
    answer = indexed.index.query(QUERIES, 16)
    assert (answer.rows == exact(indexed.store, QUERIES, 16).rows).all()
    assert indexed.index.statistics.fallbacks == len(QUERIES)
    assert indexed.index.statistics.recall == 0.0


def test_few_live_anchors_behind_many_tombstones_are_all_found() -> None:
    indexed = Indexed(2_000)
    indexed.remove_oldest(1_990)
    assert indexed.recall(k=10) == 1.0
    assert indexed.recall(k=64) == pytest.approx(10 / 64 + 54 / 64)  # all ten, and the padding agrees


def test_recall_is_measured_on_every_so_many_queries() -> None:
    indexed = Indexed(500, AnchorsConfig(recall_sample=0.1))
    assert indexed.index.statistics.recall is None
    for count in (7, 1, 12):  # 20 queries in uneven batches: numbers 0 and 10
        indexed.index.query(QUERIES[:count], 16)
    assert len(indexed.index._recalls) == 2
    assert indexed.index.statistics.recall == pytest.approx(1.0, abs=0.1)
    unsampled = Indexed(500, AnchorsConfig(recall_sample=0.0))
    unsampled.index.query(QUERIES, 16)
    assert unsampled.index.statistics.recall is None


def test_a_drop_of_recall_leads_to_a_rebuild(monkeypatch: pytest.MonkeyPatch) -> None:
    indexed = Indexed(1_000)
    executor = HeldExecutor()
    indexed.recall()
    indexed.index.maintain(executor)  # this is how good it is when fresh
    indexed.recall()
    indexed.index.maintain(executor)
    assert executor.held == 0

    healthy = Graph.query
    monkeypatch.setattr(Graph, "query", lambda graph, vectors, k: healthy(graph, -vectors, k))
    indexed.recall()
    monkeypatch.undo()
    indexed.index.maintain(executor)
    assert executor.held == 1
    executor.run()
    indexed.index.maintain(executor)
    assert indexed.index.statistics.rebuilds == 1
    assert indexed.index.statistics.recall is None  # of the new graph nothing is known yet
    assert indexed.recall() > 0.95


def test_the_same_inserts_make_the_same_graph() -> None:
    hard = random_unit(64, D, seed=3)
    one, other = (Indexed(1_500).index.query(hard, 64).rows for _ in range(2))
    assert (one == other).all()


def test_a_rebuild_with_an_inline_executor_is_done_at_once() -> None:
    indexed = Indexed(400)
    indexed.remove_oldest(300)
    indexed.index.maintain(InlineExecutor())
    assert (indexed.index.statistics.rebuilds, indexed.index.statistics.tombstones) == (1, 0)
