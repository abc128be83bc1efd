"""What became of the events: lost, doubled, or exactly one prediction and one effect each."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stream_adapter.config import KafkaConfig
from stream_adapter.events.headers import format_time
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent, parse_label_event
from stream_adapter.events.waiting import LABEL_PREFIX, LabelRecord
from stream_adapter.transport.base import OutRecord, Record
from stream_adapter.transport.kafka.transport import KafkaTransport
from stream_adapter.transport.transport import read_all
from tests.campaigns.stream import PROBE, SOURCE


@dataclass
class Account:
    """What is in the images topic, probes aside.

    Attributes:
        records: how many records each event id has.
        labels: the labels of each labelled id, in order.
    """

    records: Counter[str] = field(default_factory=Counter)
    labels: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: KafkaConfig) -> "Account":
        """Read it."""
        account = cls()
        for record in read_all(KafkaTransport(config), "images"):
            headers = dict(record.headers)
            event_id = headers["ce_id"].decode()
            if not event_id.startswith(PROBE):
                account.records[event_id] += 1
                if "ce_label" in headers:
                    account.labels.setdefault(event_id, []).append(headers["ce_label"].decode())
        return account


def judge(config: KafkaConfig, account: Account, *, late: bool = False) -> tuple[list[str], list[str]]:
    """Compare what was sent with what is in the other topics, as a reader of committed records sees them.

    Args:
        config: the topics.
        account: what was sent.
        late: whether labels came apart from their events; those are judged by `judge_late`.

    Returns:
        What was lost and what was doubled, one sentence each.
    """
    predicted = Counter(
        prediction["event"]["id"]
        for prediction in map(_value, read_all(KafkaTransport(config), "predictions"))
        if prediction["event"]["id"] in account.records
    )
    lost = [f"event {id}: {predicted[id]} of {n} predictions" for id, n in account.records.items() if predicted[id] < n]
    doubled = [
        f"event {id}: {predicted[id]} predictions of {n}" for id, n in account.records.items() if predicted[id] > n
    ]

    effects: defaultdict[str, Counter[str]] = defaultdict(Counter)
    pruned_at_once: set[bytes] = set()
    for record in read_all(KafkaTransport(config), "anchors"):
        headers = dict(record.headers)
        if record.value is not None and "event_id" in headers:
            effects[headers["event_id"].decode()][headers["label"].decode()] += 1
        elif record.value is None and record.key is not None:
            pruned_at_once.add(record.key)
    for id, labels in account.labels.items():
        # An anchor that is pruned within the batch that brings it leaves its deletion.
        if not effects[id][labels[-1]] and anchor_id_of(SOURCE, id).encode() not in pruned_at_once:
            lost.append(f"event {id}: its label {labels[-1]!r} had no effect")
        doubled += [f"event {id}: label {label!r} taught {n} times" for label, n in effects[id].items() if n > 1]
    if not late:
        doubled += [f"event {id} taught without a label" for id in effects.keys() - account.labels.keys()]
    lost += [f"a dead letter: {record.key!r}" for record in read_all(KafkaTransport(config), "dead_letters")]
    return lost, doubled


def judge_late(config: KafkaConfig) -> tuple[int, list[str], list[str]]:
    """What became of the labels that were sent by the ids of their events.

    Returns:
        How many labels there were, and which were lost and doubled, one sentence each.
    """
    transport = KafkaTransport(config)
    labels = [parse_label_event(record) for record in read_all(transport, "labels")]
    return len(labels), *late_labels(labels, read_all(transport, "waiting"), read_all(transport, "anchors"))


def late_labels(
    labels: Iterable[LabelEvent], waiting: Iterable[Record], anchors: Iterable[Record | OutRecord]
) -> tuple[list[str], list[str]]:
    """The newest label of each event must be what is known of it, and each label may have made one anchor, once.

    Returns:
        Which labels were lost, and which doubled, one sentence each.
    """
    newest: dict[str, LabelEvent] = {}
    for label in labels:
        if label.anchor_id not in newest or label.stamp > newest[label.anchor_id].stamp:
            newest[label.anchor_id] = label
    states: dict[str, LabelRecord] = {}
    for record in waiting:
        key = (record.key or b"").decode()
        if key.startswith(LABEL_PREFIX) and record.value is not None:
            states[key.removeprefix(LABEL_PREFIX)] = LabelRecord.from_value(record.value)
    lost, taught, alive, deleted = [], Counter[tuple[str, str]](), dict[str, str](), set[str]()
    for anchor in anchors:
        headers = {name: value.decode() for name, value in anchor.headers}
        key = (anchor.key or b"").decode()
        alive.pop(key, None)
        if anchor.value is not None and "label" in headers:
            taught[key, headers["event_time"]] += 1
            alive[key] = headers["label"]
        elif anchor.value is None:
            deleted.add(key)  # as one is that is pruned with the label that makes it
    for key, label in newest.items():
        state = states.get(key)
        wanted = "withdrawn" if label.label is None else "learned"
        if state is None or state.stamp != label.stamp or state.state != wanted:
            lost.append(f"label {label}: {state}")
        elif key in alive and alive[key] != label.label:
            lost.append(f"label {label}: the anchor says {alive[key]!r}")
        elif label.label is not None and not taught[key, format_time(label.time_ms)] and key not in deleted:
            lost.append(f"label {label}: never an anchor")
    doubled = [f"anchor {key} of {time}: {times} times" for (key, time), times in taught.items() if times > 1]
    return lost, doubled


def answers(config: KafkaConfig, probe: str) -> dict[str, dict[str, Any]]:
    """What was said about the events whose id begins with `probe`, by the rest of the id, without times."""
    found = {}
    for prediction in map(_value, read_all(KafkaTransport(config), "predictions")):
        if prediction["event"]["id"].startswith(probe):
            kept = {name: prediction[name] for name in ("top", "gate", "anchors", "novelty", "versions")}
            # The last part names the evidence on the traffic. The probes are traffic too, and may change it in between.
            kept["versions"]["adapter"] = kept["versions"]["adapter"].rpartition("-")[0]
            found[prediction["event"]["id"].removeprefix(probe)] = kept
    return found


def alike(one: Any, other: Any) -> bool:
    """Equal, but for the last of six decimals: how a product is rounded depends on what it is batched with."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < 2.5e-6
    return bool(one == other)


def _value(record: Any) -> Any:
    return json.loads(record.value or b"null")
