"""What learners tell each other: published, followed in the changelog's order, withdrawn when its slot falls silent."""

import json
from dataclasses import replace

import numpy as np
from structlog.testing import capture_logs

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.ownership import EVERYTHING, NOTHING
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.events import PresenceRecord
from stream_adapter.journey.foreign import LeftAlone
from stream_adapter.journey.sharing import Sharing
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.changelog import Change, change_of
from tests.fakes import CLASSES, TEXT_VECTORS, D, adapter_config, unit
from tests.learners import NEWS, ClassMeans


class Worker:
    def __init__(self, slot: str, *, fingerprint: str = "encoder") -> None:
        context = LearnerContext(slot=slot, publishes=True)
        self.adapter = Adapter(TEXT_VECTORS, CLASSES, 10.0, adapter_config(), context=context)
        names = {"slot": slot, "writer": slot, "fingerprint": fingerprint, "vocabulary": "v"}
        self.sharing = Sharing(self.adapter, **names, left_alone=LeftAlone(Metrics()))
        self.slot = slot
        self.seen = 0

    def see(self, count: int) -> None:
        ids = [f"{self.slot}-{self.seen + n}" for n in range(count)]
        self.seen += count
        self.adapter.update(ids, unit(np.ones((count, D))))

    def follow(self, outputs: list[OutRecord]) -> None:
        self.sharing.follow(changes_of(outputs, self.slot))

    @property
    def in_force(self) -> dict[str, bytes]:
        """What the learner was given."""
        learner = self.adapter._learner
        assert isinstance(learner, ClassMeans)
        return learner.followed


def changes_of(outputs: list[OutRecord], reader: str) -> list[Change]:
    records = [Record(Partition("anchors", 0), n, 0, one.key, one.value, one.headers) for n, one in enumerate(outputs)]
    return [change_of(one, reader) for one in records]


def said(key: str, number: int, *, fingerprint: str = "encoder", writer: str) -> OutRecord:
    value = json.dumps({"events": number}).encode()
    return PresenceRecord(key, value, fingerprint, "v").to_record(writer)


def test_what_one_learner_says_all_learners_hear_its_own_included() -> None:
    one, other = Worker("one"), Worker("other")
    one.see(NEWS)
    published = one.sharing.publish()
    assert [output.key for output in published] == [b"presence/evidence/one"]
    assert one.in_force == {"evidence/one": b'{"events": 20}'}, "at once, not when it comes back"
    other.follow(published)
    one.follow(published)
    assert other.in_force == one.in_force
    assert other.adapter.version == one.adapter.version


def test_what_comes_behind_this_slots_own_words_is_heard_too() -> None:
    worker = Worker("one")
    worker.see(NEWS)
    worker.follow([*worker.sharing.publish(), said("evidence/other", 3, writer="other")])
    assert worker.in_force == {"evidence/one": b'{"events": 20}', "evidence/other": b'{"events": 3}'}


def test_it_is_published_only_where_there_is_news() -> None:
    worker = Worker("one")
    assert worker.sharing.publish() == []
    worker.see(NEWS)
    assert worker.sharing.publish()
    assert worker.sharing.publish() == [], "nothing has come since"


def test_of_a_key_that_all_share_the_changelogs_last_record_counts_for_all() -> None:
    one, other = Worker("one"), Worker("other")
    first, second = said("directions", 1, writer="one"), said("directions", 2, writer="other")
    for worker, own in ((one, first), (other, second)):
        worker.sharing._take_in("directions", own.value or b"")  # its own, in force before it is in the changelog
        worker.follow([first, second])
    assert one.in_force == other.in_force == {"directions": b'{"events": 2}'}


def test_what_this_slot_says_is_not_taken_back_by_its_older_record() -> None:
    worker = Worker("one")
    worker.see(NEWS)
    older = worker.sharing.publish()
    worker.see(NEWS)
    worker.sharing.publish()
    worker.follow(older)
    assert worker.in_force == {"evidence/one": b'{"events": 40}'}


def test_a_slot_that_is_silent_for_an_hour_is_withdrawn_by_whoever_decides_about_it() -> None:
    one, other = Worker("one"), Worker("other")
    one.see(NEWS)
    published = [*one.sharing.publish(), said("directions", 1, writer="one")]
    other.follow(published)
    assert other.sharing.withdraw_silent(10.0, EVERYTHING) == []
    assert other.sharing.withdraw_silent(3_610.0, EVERYTHING) == [], "an hour to the second is not more than one"
    assert other.sharing.withdraw_silent(3_611.0, NOTHING) == [], "somebody else decides"
    (tombstone,) = other.sharing.withdraw_silent(3_611.0, EVERYTHING)
    assert (tombstone.key, tombstone.value) == (b"presence/evidence/one", None)
    assert set(other.in_force) == set(other.sharing.state()) == {"directions"}, "what is nobody's own stays"
    one.follow([tombstone])
    assert one.sharing.state() == {}
    assert one.in_force == {}


def test_a_slot_that_speaks_again_is_not_silent_even_if_it_says_the_same() -> None:
    one, other = Worker("one"), Worker("other")
    one.see(NEWS)
    published = one.sharing.publish()
    for now_s in (0.0, 3_000.0, 6_000.0):
        other.follow(published)
        assert other.sharing.withdraw_silent(now_s, EVERYTHING) == []
    assert one.sharing.withdraw_silent(1e6, EVERYTHING) == [], "a worker does not withdraw its own words"


def test_a_record_that_cannot_be_read_is_passed_over() -> None:
    worker = Worker("one")
    unreadable = PresenceRecord("evidence/other", b"\xff", "encoder", "v").to_record("other")
    with capture_logs() as logs:
        worker.follow([unreadable] * 9)
    assert [entry["key"] for entry in logs] == ["evidence/other"], "once"
    assert worker.sharing.state() == worker.in_force == {}


def test_a_snapshot_keeps_what_was_followed() -> None:
    before, after = Worker("one"), Worker("one")
    before.see(NEWS)
    before.sharing.publish()
    before.follow([said("evidence/other", 7, writer="other")])
    after.sharing.restore(before.sharing.state())
    assert after.in_force == before.in_force
    assert len(after.in_force) == 2


def test_what_is_never_written_is_taken_back_where_all_share_it() -> None:
    """Or this worker would answer by directions that no other has."""
    worker = Worker("one")
    shared = PresenceRecord("directions", b'{"events": 1}', "encoder", "v")
    lost, news = replace(shared, value=b'{"events": 2}'), replace(shared, key="evidence/one", value=b'{"events": 3}')
    for before in ([], [shared.to_record("other")]):
        worker.follow(before)
        for record in (lost, news):
            worker.sharing._take_in(record.key, record.value)
        letter = OutRecord("dead_letters", b"\xff of an image", b"no picture")
        worker.sharing.undo([letter, news.to_record("one"), lost.to_record("one")])
        expected = {"evidence/one": news.value} | ({"directions": shared.value} if before else {})
        assert worker.sharing.state() == worker.in_force == expected
