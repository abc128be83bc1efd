from dataclasses import replace

import numpy as np
import pytest
from stream_adapter.shared_presence import SharedPresence
from structlog.testing import capture_logs

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.ownership import EVERYTHING, NOTHING
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.config import AdapterConfig, AnchorsConfig, PresenceConfig
from stream_adapter.events import PresenceRecord
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.changelog import Change, change_of
from tests.fakes import CLASSES, TEXT_VECTORS


class Worker:
    def __init__(self, slot: str, *, window: int = 200, fingerprint: str = "encoder") -> None:
        config = AdapterConfig(
            anchors=AnchorsConfig(index="exact", neighbours=2), presence=PresenceConfig(window=window, kappa=0.05)
        )
        self.adapter = Adapter(TEXT_VECTORS, CLASSES, 10.0, config)
        self.presence = SharedPresence(
            self.adapter,
            CLASSES,
            slot=slot,
            writer=slot,
            fingerprint=fingerprint,
            every_s=5.0,
            background=InlineExecutor(),
        )
        self.slot = slot
        self.seen = 0

    def see(self, class_index: int, count: int, *, labelled: bool = False) -> None:
        beliefs = np.full((count, len(CLASSES)), 0.02, np.float32)
        beliefs[:, class_index] = 1 - 0.02 * (len(CLASSES) - 1)
        beliefs += np.random.default_rng(self.seen).uniform(0, 1e-4, beliefs.shape).astype(np.float32)
        ids = [f"{self.slot}-{self.seen + n}" for n in range(count)]
        self.seen += count
        self.observe(ids, beliefs, np.full(count, labelled))

    def observe(self, ids: list[str], beliefs: np.ndarray, labelled: np.ndarray) -> None:
        """Events that both models take alike, in the direction of what they are taken for."""
        vectors = TEXT_VECTORS[beliefs.argmax(axis=1)]
        answer = replace(self.adapter.predict(vectors), zero_shot=beliefs, adapted=beliefs)
        self.presence.observe(ids, vectors, answer, labelled)

    def hear(self, outputs: list[OutRecord]) -> None:
        self.presence.follow(changes_of(outputs, self.slot))

    @property
    def kinds(self) -> list[str]:
        self.adapter.maintain(InlineExecutor(), 0.0)
        return list(self.adapter.kinds)


def changes_of(outputs: list[OutRecord], reader: str) -> list[Change]:
    records = [Record(Partition("anchors", 0), n, 0, one.key, one.value, one.headers) for n, one in enumerate(outputs)]
    return [change for change in (change_of(one, reader) for one in records) if change is not None]


def test_what_one_workers_traffic_shows_all_know() -> None:
    one, other = Worker("one"), Worker("other")
    one.see(2, 100)
    told = one.presence.tell(0.0, EVERYTHING)
    assert len(told) == 1 and told[0].key == b"presence/one"
    other.hear(told)
    one.hear(told)  # its own words come back
    assert one.kinds == other.kinds and one.kinds[2] == "present"
    assert one.adapter.presence.digest == other.adapter.presence.digest


def test_it_is_told_every_so_often_and_only_where_there_is_news() -> None:
    worker = Worker("one")
    worker.see(1, 10)
    assert worker.presence.tell(0.0, EVERYTHING) == [], "too few events"
    worker.see(1, 50)
    assert worker.presence.tell(1.0, EVERYTHING)
    worker.see(2, 60)
    assert worker.presence.tell(3.0, EVERYTHING) == [], "too soon"
    assert worker.presence.tell(6.0, EVERYTHING)
    assert worker.presence.tell(60.0, EVERYTHING) == [], "nothing has come since"


def test_an_event_that_is_sent_again_is_no_new_traffic_but_its_label_counts() -> None:
    worker = Worker("one")
    beliefs = np.full((3, len(CLASSES)), 0.25, np.float32)
    worker.observe(["a", "b", "a"], beliefs, np.array([False, False, False]))
    assert worker.adapter.observed == 2
    worker.observe(["a"], beliefs[:1], np.array([True]))
    assert worker.adapter.observed == 2
    assert worker.adapter.traffic().labelled.tolist() == [True, False]


def test_a_restarted_worker_does_not_replace_what_it_knew_before_its_new_window_has_grown() -> None:
    before, after, fresh = Worker("one"), Worker("one"), Worker("one")
    before.see(2, 150)
    told = before.presence.tell(0.0, EVERYTHING)
    after.presence.follow(changes_of(told, "another process"))
    after.see(1, 60)
    assert after.presence.tell(10.0, EVERYTHING) == []
    after.see(1, 20)
    assert after.presence.tell(10.0, EVERYTHING)
    fresh.adapter.restore_traffic(before.adapter.traffic())
    fresh.presence.restore(before.presence.state())
    fresh.see(1, 60)
    assert fresh.presence.tell(10.0, EVERYTHING), "with its window restored it goes on at once"


def test_a_slot_that_is_silent_is_buried_by_whoever_decides_about_it() -> None:
    one, other = Worker("one"), Worker("other")
    one.see(2, 100)
    told = one.presence.tell(0.0, EVERYTHING)
    other.hear(told)
    assert other.presence.tell(10.0, EVERYTHING) == []
    assert other.presence.tell(4_000.0, NOTHING) == [], "somebody else decides"
    (burial,) = other.presence.tell(4_000.0, EVERYTHING)
    assert (burial.key, burial.value) == (b"presence/one", None)
    assert other.presence.state() == {}
    one.hear([burial])
    assert one.presence.state() == {}


def test_a_record_that_cannot_be_read_is_passed_over() -> None:
    worker = Worker("one")
    with capture_logs() as logs:
        worker.hear([PresenceRecord("other", {"events": -1}).to_record("other")])
    assert logs[0]["slot"] == "other" and worker.presence.state() == {}


def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="class presence"):
        Worker("one").presence.restore({"other": {"events": "many"}})


def test_means_of_another_encoders_vectors_are_not_heard_but_the_rest_is() -> None:
    one, same, another = Worker("one"), Worker("same"), Worker("another", fingerprint="another encoder")
    one.see(2, 100)
    told = one.presence.tell(0.0, EVERYTHING)
    for worker in (same, another):
        worker.hear(told)
        assert worker.kinds[2] == "present"
    assert 2 in same.adapter.presence.means.classes
    assert len(another.adapter.presence.means.classes) == 0


def test_a_large_record_is_not_told_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_adapter.shared_presence._BYTES_PER_S", 10)
    worker = Worker("one")
    worker.see(1, 60)
    (told,) = worker.presence.tell(0.0, EVERYTHING)
    pause_s = len(told.value or b"") / 10
    worker.see(2, 60)
    assert worker.presence.tell(pause_s - 0.1, EVERYTHING) == []
    assert worker.presence.tell(pause_s, EVERYTHING)
