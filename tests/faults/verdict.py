"""What became of every record of the images topic: one prediction or one dead letter; none of a tombstone."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from stream_adapter.config import KafkaConfig
from stream_adapter.events.image import anchor_id_of
from stream_adapter.transport.base import Headers
from stream_adapter.transport.kafka.transport import KafkaTransport
from stream_adapter.transport.transport import read_all
from tests.campaigns.stream import PROBE, SOURCE


@dataclass
class Verdict:
    """What was counted.

    Attributes:
        records: of the images topic, tombstones not among them.
        letters: events that became dead letters.
        lost, doubled: one sentence each.
    """

    records: int = 0
    letters: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)


def judge(config: KafkaConfig, fingerprint: str) -> Verdict:
    """Compare what is on the images topic with all that was written because of it."""
    transport, verdict = KafkaTransport(config), Verdict()
    places: dict[str, str] = {}
    labels: defaultdict[str, list[str]] = defaultdict(list)
    at: dict[str, str] = {}  # of labelled events, the last place
    for record in read_all(transport, "images"):
        if record.value is None:
            continue
        headers = dict(record.headers)
        places[f"{record.partition}@{record.offset}"] = repr(headers.get("ce_id", b""))[:60]
        event_id = headers.get("ce_id", b"").decode(errors="replace")
        if headers.get("ce_source") == SOURCE.encode() and "ce_label" in headers and not event_id.startswith(PROBE):
            labels[event_id].append(headers["ce_label"].decode())
            at[event_id] = f"{record.partition}@{record.offset}"
    verdict.records = len(places)

    outcomes, said_ms = Counter[str](), dict[str, int]()
    for record in read_all(transport, "predictions"):
        place = dict(record.headers)["ce_id"].decode()
        outcomes[place] += 1
        said_ms[place] = record.timestamp_ms
    for record in read_all(transport, "dead_letters"):
        topic, origin = origin_of(record.headers)
        if topic == config.topics.images:  # labels may be dead letters, too
            outcomes[origin] += 1
            verdict.letters += 1
    verdict.lost += [f"{place} ({event}) has no outcome" for place, event in places.items() if not outcomes[place]]
    verdict.doubled += [f"{place} has {n} outcomes" for place, n in outcomes.items() if n > 1]
    verdict.doubled += [f"{place} has an outcome and no event" for place in outcomes if place not in places]

    effects: defaultdict[str, Counter[str]] = defaultdict(Counter)
    deleted: set[bytes | None] = set()
    for record in read_all(transport, "anchors"):
        headers = dict(record.headers)
        if record.value is None:
            deleted.add(record.key)
        elif headers.get("fingerprint") == fingerprint.encode() and headers.get("event_source") == SOURCE.encode():
            effects[headers["event_id"].decode()][headers["label"].decode()] += 1
    for event_id, said in labels.items():
        if not effects[event_id][said[-1]] and anchor_id_of(SOURCE, event_id).encode() not in deleted:
            when = said_ms.get(at[event_id])
            verdict.lost.append(f"event {event_id} ({at[event_id]}, predicted {when}): {said[-1]!r} had no effect")
        verdict.doubled += [
            f"event {event_id}: {name!r} taught {n} times" for name, n in effects[event_id].items() if n > 1
        ]
    return verdict


def origin_of(headers: Headers) -> tuple[str, str]:
    """The topic of a dead letter's event, and its place."""
    named = {name: value.decode(errors="replace") for name, value in headers}
    topic, partition, offset = (named[f"__connect.errors.{what}"] for what in ("topic", "partition", "offset"))
    return topic, f"{topic}-{partition}@{offset}"
