"""What is parsed, each from bytes, with sound inputs to begin with and the errors that it may end in."""

import json
from collections.abc import Callable
from functools import cache

import numpy as np
from open_clip.transform import PreprocessCfg

from stream_adapter import config
from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.config import EventsConfig, FieldsConfig
from stream_adapter.encode.images import ImageDecoder
from stream_adapter.errors import EventError, UnexpectedFailure
from stream_adapter.events import EMBEDDING, AnchorRecord, DriftEvent, PresenceRecord, image_event_headers
from stream_adapter.events.class_record import ClassRecord
from stream_adapter.events.headers import parse_time
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import InputPosition, waiting_record
from stream_adapter.journey.foreign import LeftAlone
from stream_adapter.journey.reading import Reader
from stream_adapter.journey.sharing import Sharing
from stream_adapter.metrics import STAGES, Metrics
from stream_adapter.transport.base import Headers, Partition, Record
from stream_adapter.transport.changelog import change_of
from stream_adapter.transport.dead_letters import dead_letter, reason, undo
from stream_adapter.transport.labels import Arrivals
from tests.fakes import CLASSES, TEXT_VECTORS, D, FakeEncoder, picture, unit
from tests.faults.file_parsers import FILE_PARSERS, Parser
from tests.journey.late_journey import IMAGES, Journey, said
from tests.journey.running import run
from tests.odd_pictures import odd_picture

_METRICS = Metrics()
_DECODE = ImageDecoder(PreprocessCfg(size=64), max_pixels=1_000_000, max_bytes=1_000_000)


# Records as bytes: key, value, and every header's name and value. What is between them seldom comes about by chance:
# what is done to one of them leaves the others where they are.
_BETWEEN, _NOTHING = b"\xfa\xfb\xfc\xfd", b"\xfc\xfb\xfa"


def packed(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """A record as bytes that can be mutated."""
    fields = [key, value, *(field for name, text in headers for field in (name.encode(), text))]
    return _BETWEEN.join(_NOTHING if field is None else field for field in fields)


def unpacked(data: bytes, topic: str = "images") -> Record:
    """The record in any bytes."""
    fields = [None if field == _NOTHING else field for field in data.split(_BETWEEN)][:60]
    fields += [None] * (2 - len(fields))
    names = fields[2::2]
    headers = tuple(
        ((name or b"").decode(errors="replace"), value or b"") for name, value in zip(names, fields[3::2], strict=False)
    )
    return Record(Partition(topic, 0), 7, 1_700_000_000_000, fields[0], fields[1], headers)


_VECTOR = np.full(D, D**-0.5, np.float32)
_EVENT = image_event_headers(source="/s", id="1", content_type="image/jpeg", label="cat", time_ms=1_700_000_000_000)
_EMBEDDED = (*image_event_headers(source="/s", id="2", content_type=EMBEDDING), ("ce_fingerprint", b"fake-encoder"))
_STRUCTURED = {
    "specversion": "1.0", "id": "3", "source": "/s", "type": "stream_adapter.image", "datacontenttype": "image/png",
    "data_base64": "Y2F0IDE=", "time": "2026-01-02T03:04:05Z", "label": "dog",
}  # fmt: skip
_BATCH = (("content-type", b"application/cloudevents-batch+json"),)
_PLAIN = json.dumps({"id": 7, "image": {"data": "Y2F0IDE="}, "label": "cat", "time": 1_700_000_000.5}).encode()
_RECORDS = [
    packed(b"k", b"cat 1", _EVENT),
    packed(None, _VECTOR.astype("<f4").tobytes(), _EMBEDDED),
    packed(b"k", json.dumps(_STRUCTURED).encode(), (("content-type", b"application/cloudevents+json"),)),
    packed(b"k", json.dumps([_STRUCTURED]).encode(), _BATCH),
    packed(b"k", None, ()),
    packed(b"k", _PLAIN, ()),
    packed(None, b"\xff\xd8\xff", ()),
]


def _reads(events: EventsConfig) -> Callable[[bytes], object]:
    reader = Reader(
        FakeEncoder(), CLASSES, reject_unknown_labels=True, decoders=InlineExecutor(), metrics=_METRICS, events=events
    )

    def parse(data: bytes) -> None:
        record = unpacked(data)
        _, _, refused = reader.decoded(reader.read([record]))
        for letter, error in refused:
            if isinstance(error, UnexpectedFailure) and (error.stage, type(error.error)) != ("decode", ValueError):
                raise error.error  # but for the fake encoder's, which reads numbers as `int` does
            undo(_again(dead_letter(letter, error)))

    return parse


def _again(output: object) -> Record:
    record = output
    return Record(Partition("letters", 0), 0, 0, record.key, record.value, record.headers)  # type: ignore[attr-defined]


def _reads_letters(data: bytes) -> None:
    record = unpacked(data)
    reason(record)
    undo(record)


_ANCHOR = AnchorRecord("a" * 32, _VECTOR, "cat", 1_700_000_000_000, "/s", "1", "images", 0, 5, "fake-encoder")
_PRESENCE = PresenceRecord("evidence/other", b'{"events": 20}', "fake-encoder", "v").to_record("w")


def _presence_values() -> Callable[[bytes], object]:
    adapter = Adapter(TEXT_VECTORS, CLASSES, 10.0, config.AdapterConfig())
    alone = LeftAlone(_METRICS)
    sharing = Sharing(adapter, slot="me", writer="me", fingerprint="fake-encoder", vocabulary="v", left_alone=alone)

    def parse(data: bytes) -> None:
        for key in ("evidence/other", "directions"):
            record = PresenceRecord(key, data, "fake-encoder", "v").to_record("w")
            change = change_of(Record(Partition("anchors", 0), 0, 0, record.key, record.value, record.headers))
            sharing.follow([change])
        said = adapter.predict(_VECTOR[None]).adapted
        if not abs(float(said.sum()) - 1.0) < 1e-3:
            raise AssertionError(f"after it the worker answers {said}")

    return parse


def _presence_seeds() -> list[bytes]:
    from stream_adapter.adapter.learner import LearnerContext

    context = LearnerContext(slot="other", publishes=True)
    adapter = Adapter(TEXT_VECTORS, CLASSES, 10.0, config.AdapterConfig(), context=context)
    rng = np.random.default_rng(0)
    for batch in range(30):
        vectors = unit(TEXT_VECTORS[rng.integers(len(CLASSES), size=16)] + 0.2 * rng.normal(size=(16, D)))
        adapter.predict(vectors)
        adapter.update([f"{batch}-{n}" for n in range(16)], vectors)
    return [value for _ in range(3) for value in dict(adapter.records()).values()] or [b"{}"]


# What a worker reads beside images and anchors, through its own hands: nothing may come out, and it goes on answering.

_LABEL = LabelEvent.new("/test", "1", "cat", time_ms=50_000, annotator="a", reference="https://h/a.png").to_record()
_CLASS = ClassRecord("newt", vector=_VECTOR, canary=True).to_record()
_CLASSES = [_CLASS, ClassRecord("newt", prompts=("a {}",)).to_record(), ClassRecord("tom", alias_of="cat").to_record()]


_ONE = frozenset({0})


@cache
def _journey() -> tuple[Journey, list[Record]]:
    """One that has answered, and what its waiting topic holds: an event, and two labels of which one came too early."""
    journey = Journey()
    journey.send(picture("cat", 1))
    journey.say(said(1, "cat"), said(2, "dog"))
    kept = journey.transport.sink.records["waiting"]
    return journey, [
        Record(Partition("waiting", 0), n, 0, one.key, one.value, one.headers) for n, one in enumerate(kept)
    ]


def _read(*arrivals: Arrivals) -> None:
    """Nothing may come out, also when what was read is looked at, grows old, and other events come."""
    journey, _ = _journey()
    assert journey.processor.late is not None
    for some in arrivals:
        journey.processor.apply_labels(some, {0: IMAGES}, EVERYTHING)
        journey.processor.late.unlabelled(9)
    journey.now_ms += 10**9
    journey.processor.apply_labels(Arrivals(), {0: IMAGES}, EVERYTHING)
    run(journey.processor, picture("dog", journey.now_ms))
    for stage in STAGES:
        if journey.metrics.registry.get_sample_value("stream_adapter_unexpected_errors_total", {"stage": stage}):
            _journey.cache_clear()
            raise AssertionError(f"an unexpected error in {stage}")


def _labels(data: bytes) -> None:
    _read(Arrivals(_ONE, _journey()[1][:1], _ONE, [unpacked(data, "labels")]))


def _waiting(data: bytes) -> None:
    record = unpacked(data, "waiting")
    _read(
        Arrivals(_ONE, [record], _ONE),
        Arrivals(waiting=[record]),
        Arrivals(labels=[_LABEL, said(2, "cat").to_record()]),
    )


_POSITION = waiting_record(InputPosition.key("group", IMAGES), InputPosition(7, "id", "mark").to_value(), 0)


def _positions(data: bytes) -> None:
    position = InputPosition.from_record(unpacked(data, "waiting"))
    if not -(2**63) <= position.offset < 2**63:
        raise AssertionError(f"an offset that no broker has: {position}")


def _classes(data: bytes) -> None:
    record = unpacked(data, "classes")
    _journey()[0].processor.apply_classes([record], restoring=True)
    _journey()[0].processor.apply_classes([record])
    _read()


def _drift(data: bytes) -> object:
    record = unpacked(data)
    return DriftEvent.from_record(record.value, record.headers)


_DRIFT = json.dumps(
    {
        "kind": "harm", "group": "unseen", "action": "none", "detector": "d", "observed": 9, "labels": 3,
        "enough": True, "since": 2, "e_value": 3.5, "interval": {"low": 0.1, "high": 0.2, "confidence": 0.95},
        "evidence": {"x": 1.0}, "event_ids": ["1"], "time": "2026-01-02T03:04:05Z",
    }
).encode()  # fmt: skip
_DRIFT_HEADERS: Headers = (("ce_type", b"stream_adapter.drift"), ("ce_source", b"/w"), ("format", b"1"))
_LETTER = dead_letter(unpacked(_RECORDS[0]), EventError("bad"))
_FIELDS = FieldsConfig(id="id", picture="image.data", label="label", time="time")
_CONFIG = b"""
encoder: {pretrained: openai, max_bytes: 1000}
vocabulary: {classes: [cat, "dog, big", "1"], templates: simple}
adapter: {canaries: [cat], anchors: {budget: 10}}
kafka: {bootstrap_servers: [a:1, b], topics: {images: a}, security: {sasl_plain_password: "${HOME}"}}
batch: {max_wait_ms: 1e1}
"""


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode(errors="replace"))


PARSERS = [
    Parser("image events", _reads(EventsConfig()), _RECORDS),
    Parser("plain JSON events", _reads(EventsConfig(format="json", fields=_FIELDS)), _RECORDS),
    Parser("raw pictures", _reads(EventsConfig(format="raw")), _RECORDS),
    Parser("times", _text(parse_time), [b"2026-01-02T03:04:05.678Z", b"9999-12-31t23:59:60z"]),
    Parser(
        "changelog",
        lambda data: change_of(unpacked(data)),
        [packed(one.key, one.value, one.headers) for one in (_ANCHOR.to_record("w"), _PRESENCE)],
        promised=(),
    ),
    Parser("presence records", _presence_values(), _presence_seeds(), promised=()),
    Parser("label events", _labels, [packed(_LABEL.key, _LABEL.value, _LABEL.headers)], promised=()),
    Parser("waiting events", _waiting, [packed(one.key, one.value, one.headers) for one in _journey()[1]], promised=()),
    Parser("positions", _positions, [packed(_POSITION.key, _POSITION.value, _POSITION.headers)]),
    Parser("class events", _classes, [packed(one.key, one.value, one.headers) for one in _CLASSES], promised=()),
    Parser("drift events", _drift, [packed(b"unseen", _DRIFT, _DRIFT_HEADERS)]),
    Parser("dead letters", _reads_letters, [packed(_LETTER.key, _LETTER.value, _LETTER.headers)]),
    Parser("configuration", _text(config.parse), [_CONFIG, b"a: [1]"]),
    Parser("pictures", lambda data: _DECODE(data, "image/jpeg"), [odd_picture(number).data for number in range(60)]),
    *FILE_PARSERS,
]
