"""The image event: a picture or its vector, and what is known of it. `wire_format.py` says how records become one."""

import hashlib
from dataclasses import dataclass, field
from json.encoder import encode_basestring

import numpy as np

from stream_adapter.events.headers import format_time
from stream_adapter.events.reference import Reference
from stream_adapter.transport.base import Headers, Record

EVENT_TYPE = "stream_adapter.image"
EMBEDDING = "application/x-embedding"


@dataclass(frozen=True, slots=True)
class ImageEvent:
    """One image, or its vector, with its label where there is one.

    Attributes:
        source: CloudEvents `source`; with `id` it identifies the event.
        id: CloudEvents `id`.
        time_ms: when it happened, milliseconds since the epoch, see `EventTimes`.
        content_type: what somebody says that `data` is, lower case, without parameters; for a picture a hint, no more.
        data: the picture's bytes, or the vector's; empty where it is still to be fetched.
        label: the class name that somebody gave it, in its canonical form, or None.
        fingerprint: for `EMBEDDING` events, the encoder that made the vector.
        record: the record it was read from.
        reference: where the picture is stored, of an event that does not bring it.
        traceparent: the trace that it belongs to, as W3C's header of that name has it, or None.
        anchor_id: the id of the anchor that it becomes: 32 hex digits, a hash of its identity. Being derived and not
            drawn, it is the same when an event is delivered again, so a repeated write of the anchor is harmless.
    """

    source: str
    id: str
    time_ms: int
    content_type: str
    data: bytes = field(repr=False)
    label: str | None
    fingerprint: str | None
    record: Record = field(repr=False)
    reference: Reference | None = None
    traceparent: str | None = None
    anchor_id: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "anchor_id", anchor_id_of(self.source, self.id))


def anchor_id_of(source: str, id: str) -> str:
    """The id of the anchor that the event of this CloudEvents source and id becomes, see `ImageEvent.anchor_id`."""
    identity = f"[{encode_basestring(source)}, {encode_basestring(id)}]".encode()  # JSON
    return hashlib.blake2b(identity, digest_size=16).hexdigest()


def id_of_vector(vector: np.ndarray) -> str:
    """An id for a picture of which nothing is known but its vector (d,): that of all that are the same in float16."""
    with np.errstate(over="ignore"):
        return hashlib.blake2b(vector.astype("<f2").tobytes(), digest_size=16).hexdigest()


def image_event_headers(
    *,
    source: str,
    id: str,
    content_type: str,
    time_ms: int | None = None,
    label: str | None = None,
    reference: str | None = None,
    fingerprint: str | None = None,
) -> Headers:
    """The headers of an image event in binary mode; what a producer sends beside the picture's bytes.

    With a `reference` to where it is stored, the value is empty. A vector (`EMBEDDING`) has a `fingerprint`.
    """
    pairs = {"ce_specversion": "1.0", "ce_type": EVENT_TYPE, "ce_source": source, "ce_id": id}
    if time_ms is not None:
        pairs["ce_time"] = format_time(time_ms)
    if label is not None:
        pairs["ce_label"] = label
    if reference is not None:
        pairs["ce_dataref"] = reference
    if fingerprint is not None:
        pairs["ce_fingerprint"] = fingerprint
    pairs["content-type"] = content_type
    return tuple((name, value.encode()) for name, value in pairs.items())
