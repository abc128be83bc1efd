"""The presence record: what one worker's traffic says about classes that nobody labelled."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stream_adapter.events.headers import read_object
from stream_adapter.transport.base import OutRecord

# Anchor ids are hex digits, so that no anchor has such a key.
PRESENCE_PREFIX = "presence/"


@dataclass(frozen=True, slots=True)
class PresenceRecord:
    """The newest evidence of one worker slot; it travels with the anchors because predictions depend on it.

    Attributes:
        slot: the worker slot; its next record replaces this one.
        evidence: as `PresenceEvidence.to_json` gives it: classes by name, so that another vocabulary can read it.
    """

    slot: str
    evidence: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The record's key in the anchors topic."""
        return PRESENCE_PREFIX + self.slot

    def to_record(self, writer: str) -> OutRecord:
        """The record for the compacted anchors topic; `writer` as for `AnchorRecord.to_record`."""
        headers = (("content-type", b"application/json"), ("writer", writer.encode()))
        return OutRecord("anchors", self.key.encode(), json.dumps(self.evidence).encode(), headers)

    @classmethod
    def from_record(cls, key: str, value: bytes) -> "PresenceRecord":
        """Read a record back.

        Raises:
            MalformedEvent: the value is not a JSON object.
        """
        return cls(key.removeprefix(PRESENCE_PREFIX), read_object(value, "presence record"))
