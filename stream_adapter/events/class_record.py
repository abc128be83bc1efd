"""The class event: what a name means from now on; a CloudEvent on the compacted classes topic, its key the name."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.headers import FORMAT, check_format, cloud_event, decode_headers
from stream_adapter.events.names import canonical_name, has_control_characters
from stream_adapter.events.payloads import as_text, json_object
from stream_adapter.transport.base import Headers, OutRecord

EVENT_TYPE = "stream_adapter.class"
CLASS_FORMAT = 1
LONGEST_NAME = 200
_UNIT_TOLERANCE = 5e-3  # of a float16 vector; the mean of several prompts that nobody renormalised is off by far more
_TEXTS = ("vector", "prompts", "text_of")


@dataclass(frozen=True, slots=True, eq=False)
class ClassRecord:
    """A class, another name of one, or the end of one; of a name the newest record counts.

    Without `vector`, `prompts` and `text_of` the configured templates describe the class.

    Attributes:
        name: what labels call it.
        vector: float32 (d,), unit, its text vector.
        prompts: texts that describe it; `{}` stands for its name.
        text_of: a class of the configuration whose text vector it has.
        canary: whether it is scored and never learned; None: as the configuration says.
        alias_of: the name is another one for this class.
        removed: there is no such class.
        source: who says so, CloudEvents' `source`.
    """

    name: str
    vector: NDArray[np.float32] | None = field(default=None, repr=False)
    prompts: tuple[str, ...] | None = None
    text_of: str | None = None
    canary: bool | None = None
    alias_of: str | None = None
    removed: bool = False
    source: str = "stream-adapter"

    @property
    def is_class(self) -> bool:
        """Whether the name is a class, and no alias or removed one."""
        return self.alias_of is None and not self.removed

    def to_json(self) -> dict[str, Any]:
        """The value, as `docs/class.schema.json` describes it."""
        vector = None if self.vector is None else [float(f"{number:.7g}") for number in self.vector.tolist()]
        prompts = None if self.prompts is None else list(self.prompts)
        fields = {"vector": vector, "prompts": prompts, "text_of": self.text_of, "canary": self.canary}
        fields |= {"alias_of": self.alias_of, "removed": self.removed or None}
        return {"name": self.name, **{key: value for key, value in fields.items() if value is not None}}

    def to_record(self) -> OutRecord:
        """The record for the classes topic."""
        headers = cloud_event(EVENT_TYPE, self.source, uuid.uuid4().hex, int(time.time() * 1000), format=CLASS_FORMAT)
        value = json.dumps(self.to_json(), ensure_ascii=False).encode()
        return OutRecord("classes", self.name.encode(), value, headers)

    @classmethod
    def from_record(cls, key: bytes | None, value: bytes, headers: Headers) -> "ClassRecord":
        """Read a class event, in binary or structured mode; members that are not known are passed over."""
        document = json_object(value, "a class event")
        wanted = tuple((name, text) for name, text in headers if name.lower() in ("ce_type", "ce_source", FORMAT))
        check_format(decode_headers(wanted), CLASS_FORMAT, "a class event")
        attributes: Mapping[str, Any] = {f"ce_{k}": document.get(k) for k in ("type", "source")}
        if "specversion" in document:
            data = document.get("data")
            if not isinstance(data, dict):
                raise MalformedEvent(f"`data` of a class event must be a JSON object, found {data!r:.80}")
            document = data
        else:
            attributes = decode_headers(wanted)
        if attributes.get("ce_type") not in (EVENT_TYPE, None):
            raise MalformedEvent(f"event type {attributes['ce_type']!r} is not {EVENT_TYPE!r}")
        name = checked_name(document.get("name"))
        if key is None or canonical_name(key.decode(errors="replace")) != name:
            raise MalformedEvent(f"the key of the class event of {name!r} is {key!r:.80}; it must be the name")
        removed, canary = document.get("removed") or False, document.get("canary")
        if not isinstance(removed, bool) or not isinstance(canary, bool | None):
            raise MalformedEvent(f"`removed` and `canary` must be true or false, found {removed!r:.80}, {canary!r:.80}")
        alias_of, text_of = (
            None if document.get(member) is None else checked_name(document[member], member)
            for member in ("alias_of", "text_of")
        )
        given = [member for member in _TEXTS if document.get(member) is not None]
        if len(given) > 1 or ((removed or alias_of is not None) and (given or (removed and alias_of is not None))):
            both = [*given, *(["alias_of"] * (alias_of is not None)), *(["removed"] * removed)]
            raise MalformedEvent(f"a class event says one thing, found `{'`, `'.join(both)}`")
        return cls(
            name,
            _vector(document.get("vector")),
            _prompts(document.get("prompts")),
            text_of,
            canary,
            alias_of,
            removed,
            str(attributes.get("ce_source") or "unknown"),
        )


def checked_name(given: Any, member: str = "name") -> str:
    """A class's name, canonical."""
    name = canonical_name(as_text(given, f"`{member}`"))
    if not name or len(name) > LONGEST_NAME:
        raise MalformedEvent(f"`{member}` must have 1 to {LONGEST_NAME} characters, found {len(name)}: {name[:40]!r}")
    if has_control_characters(name):
        raise MalformedEvent(f"`{member}` holds control characters: {name[:40]!r}")
    return name


def unit_vector(given: Any, what: str) -> NDArray[np.float32]:
    """Numbers as a unit vector, float32 (d,): given within 0.5 %, renormalised."""
    if isinstance(given, np.ndarray) and given.dtype.kind not in "fiu":  # half of a complex number is none
        raise MalformedEvent(f"{what} must be real numbers, found {given.dtype}")
    try:
        vector = np.asarray(given, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise MalformedEvent(f"{what} is no list of numbers: {error}") from error
    norm = float(np.linalg.norm(vector)) if vector.ndim == 1 else float("nan")
    if not abs(norm - 1.0) <= _UNIT_TOLERANCE:
        raise MalformedEvent(f"{what} must be a unit vector; its shape is {vector.shape}, its length {norm:.4g}")
    return (vector / norm).astype(np.float32)


def _vector(given: Any) -> NDArray[np.float32] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(type(number) in (int, float) for number in given):
        raise MalformedEvent(f"`vector` must be a list of numbers, found {given!r:.80}")
    return unit_vector(given, "`vector`")


def _prompts(given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not given:
        raise MalformedEvent(f"`prompts` must be a list of texts, found {given!r:.80}")
    prompts = tuple(as_text(text, "a prompt") for text in given)
    if not all(text.strip() for text in prompts):
        raise MalformedEvent("a prompt is empty; leave `prompts` out to use the templates")
    return prompts
