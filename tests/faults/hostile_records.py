"""Records that a topic may hold and that no worker can use, or only with care."""

import json
import random
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.events import EMBEDDING, AnchorRecord, PresenceRecord, image_event_headers
from stream_adapter.transport.base import Headers
from tests.odd_pictures import odd_picture

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202egpj.exe\u2066\r\n\x00\x9b31m"
NAMES = (
    *("", " ", "ä" * 3_000, "x" * 20_000, "x" * 1_000_000, ESCAPES, "\N{GRINNING FACE}" * 9, "كلب", "犬", "null"),
    *("../../etc/passwd", "<script>alert(1)</script>", "${jndi:ldap://x}", "'; drop table anchors; --"),
)
TIMES = (
    *("9999-12-31T23:59:59-14:00", "1600-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1970-01-01t00:00:00z"),
    *("2026-02-30T00:00:00Z", "yesterday", "2026-01-01", "", "-1", "2038-01-19T03:14:08Z", "1" * 5_000),
)


class Sent(NamedTuple):
    """What is put on a topic."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def hostile_event(draw: random.Random, fingerprint: str, dimension: int, classes: tuple[str, ...]) -> Sent:
    """An image event with one or two things wrong, or none."""
    id = f"hostile-{draw.getrandbits(64):x}"
    headers = dict(image_event_headers(source="/hostile", id=id, content_type=EMBEDDING, label=draw.choice(classes)))
    headers["ce_fingerprint"] = fingerprint.encode()
    value: bytes | None = np.full(dimension, dimension**-0.5, "<f4").tobytes()
    pairs: list[tuple[str, bytes]] = []
    match draw.randrange(10):
        case 0:
            headers.pop(draw.choice(list(headers)))
        case 1:
            pairs = [(name, draw.choice([text, b"", b"other"])) for name, text in headers.items()]
        case 2:
            headers[draw.choice(list(headers))] = draw.choice([b"\xff\xfe", b"\x00", b"\xc3(", b"\xed\xa0\x80"])
        case 3:
            name = draw.choice(["ce_id", "ce_source", "ce_label", "ce_type", "ce_specversion", "content-type"])
            headers[name] = draw.choice(NAMES).encode()
        case 4:
            headers["ce_time"] = draw.choice(TIMES).encode()
        case 5:
            odd = draw.choice([np.nan, np.inf, -np.inf, 0.0, 1e38, 1e-45])
            value = np.full(draw.choice([0, 1, dimension - 1, dimension, dimension + 1]), odd, "<f4").tobytes()
        case 6:
            picture = odd_picture(draw.randrange(100_000))
            headers["content-type"], value = picture.content_type.encode(), picture.data
            headers.pop("ce_fingerprint")
        case 7:
            value = draw.choice([b"", b"{", b"[" * 50_000, b'{"specversion": "1.0", "id": 7}', draw.randbytes(300)])
            headers = {"content-type": draw.choice([b"application/cloudevents+json", b"application/json", b""])}
        case 8:
            event = {"specversion": "1.0", "id": draw.choice(NAMES), "source": "/", "type": draw.choice(NAMES)}
            batch = [event] * draw.randrange(4)
            structured = draw.random() < 0.5
            value = json.dumps(event if structured else batch).encode()
            kind = b"application/cloudevents+json" if structured else b"application/cloudevents-batch+json"
            headers = {"content-type": kind}
        case _:
            headers = {"spring_json_header_types": b"{}", "b3": draw.randbytes(20), "__TypeId__": b"com.acme.Order"}
            value = draw.choice([b'{"order": 1}', b"<order/>", draw.randbytes(2_000), b"\x00\x00\x00\x00\x07avro"])
    key = draw.choice([None, b"", id.encode(), b"\xff\x00", b"k" * 10_000])
    return Sent(key, value, tuple(headers.items()) + tuple(pairs))


def event_with_a_long_id(draw: random.Random, fingerprint: str, vector: NDArray[np.float32]) -> Sent:
    """An image event with an id that is taken, but so long that its prediction is large."""
    id = f"{draw.getrandbits(64):x}".ljust(5_000, "x")
    headers = image_event_headers(source="/hostile", id=id, content_type=EMBEDDING)
    return Sent(None, vector.astype("<f4").tobytes(), (*headers, ("ce_fingerprint", fingerprint.encode())))


def foreign_anchor(draw: random.Random, fingerprint: str, dimension: int) -> Sent:
    """What does not belong on the anchors topic: another encoder's, a later version's, another application's."""
    vector = np.full(dimension, dimension**-0.5, np.float32)
    id, now = f"{draw.getrandbits(128):032x}", int(time.time() * 1000)
    made_by, width = draw.choice([("other", dimension), (fingerprint, dimension // 2), (fingerprint, dimension)])
    vector = vector[:width] / np.linalg.norm(vector[:width])
    record = AnchorRecord(id, vector, "foreign", now, "/foreign", id, "images", 0, 0, made_by).to_record("foreign")
    headers = dict(record.headers)
    match draw.randrange(6):
        case 0:
            headers["format"] = b"2"
        case 1:
            headers.pop(draw.choice(list(headers)))
            headers["fingerprint"] = b"other"
        case 2:
            other = PresenceRecord(draw.choice(["evidence/foreign", "directions"]), draw.randbytes(500), "other", "v")
            record = other.to_record("foreign")
            headers = dict(record.headers)
        case 3:
            return Sent(id.encode(), None, ())
        case 4:
            return Sent(draw.choice([b"\xff", b"order-7", ESCAPES.encode()]), b'{"order": 7}', ())
        case _:
            headers["fingerprint"] = b"other"
    return Sent(record.key, record.value, tuple(headers.items()))
