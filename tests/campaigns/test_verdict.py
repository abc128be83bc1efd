"""The verdict on labels that come late: it finds what is lost and doubled, and lets pass what was pruned."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from stream_adapter.config import KafkaConfig
from stream_adapter.events.headers import format_time
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import LABEL_PREFIX, LabelRecord, LabelState
from stream_adapter.transport.base import Headers, Partition, Record
from tests.campaigns import verdict

SAID = LabelEvent.new("/s", "1", "dog", time_ms=1_000)
KEY = SAID.anchor_id.encode()


@dataclass
class Topics:
    """What is on each topic."""

    records: dict[str, list[Record]] = field(default_factory=lambda: {"labels": [], "waiting": [], "anchors": []})

    def say(self, label: LabelEvent, state: LabelState | None) -> None:
        """A label, and what became of it."""
        self.records["labels"].append(label.to_record())
        if state is not None:
            known = LabelRecord(label, ("labels", 0, 0), state, "", False, "w", 0)
            self.add("waiting", LABEL_PREFIX.encode() + label.anchor_id.encode(), known.to_value())

    def taught(self, label: LabelEvent) -> None:
        """An anchor."""
        headers = (("label", str(label.label).encode()), ("event_time", format_time(label.time_ms).encode()))
        self.add("anchors", label.anchor_id.encode(), b"vector", headers)

    def add(self, role: str, key: bytes, value: bytes | None, headers: Headers = ()) -> None:
        """A record."""
        topic = self.records[role]
        topic.append(Record(Partition(role, 0), len(topic), 0, key, value, headers))

    def judged(self) -> tuple[int, int, int]:
        """How many labels there are, how many were lost, and how many anchors doubled."""
        labels, lost, doubled = verdict.judge_late(cast("KafkaConfig", self))
        return labels, len(lost), len(doubled)


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    monkeypatch.setattr(verdict, "KafkaTransport", lambda topics: topics)
    monkeypatch.setattr(verdict, "read_all", lambda topics, role: iter(topics.records[role]))
    return Topics()


def test_a_label_that_taught_is_well(topics: Topics) -> None:
    topics.say(SAID, "learned")
    topics.taught(SAID)
    assert topics.judged() == (1, 0, 0)


def test_an_anchor_that_was_pruned_with_the_label_that_makes_it_is_no_loss(topics: Topics) -> None:
    topics.say(SAID, "learned")
    topics.add("anchors", KEY, None)
    assert topics.judged() == (1, 0, 0)


@pytest.mark.parametrize("state", [None, "waiting", "learned"])
def test_a_label_without_effect_is_lost(topics: Topics, state: LabelState | None) -> None:
    topics.say(SAID, state)
    assert topics.judged() == (1, 1, 0)


def test_an_anchor_that_was_taught_twice_is_doubled(topics: Topics) -> None:
    topics.say(SAID, "learned")
    topics.taught(SAID)
    topics.taught(SAID)
    assert topics.judged() == (1, 0, 1)


def test_the_newest_label_counts(topics: Topics) -> None:
    corrected = LabelEvent.new("/s", "1", "cat", time_ms=2_000)
    topics.say(SAID, "learned")
    topics.say(corrected, "learned")
    topics.taught(corrected)
    topics.taught(SAID)  # on top of the newer one
    assert topics.judged() == (2, 1, 0)


def test_a_label_that_was_taken_back_leaves_no_anchor(topics: Topics) -> None:
    topics.say(SAID, "learned")
    topics.taught(SAID)
    topics.say(LabelEvent.new("/s", "1", None, time_ms=2_000), "withdrawn")
    assert topics.judged() == (2, 1, 0)
    topics.add("anchors", KEY, None)
    assert topics.judged() == (2, 0, 0)
