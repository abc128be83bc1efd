"""The presence record: what one worker tells the others beside its anchors; a learner's own words, by key."""

from dataclasses import dataclass

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.headers import FORMAT, check_format, decode_headers
from stream_adapter.transport.base import Headers, OutRecord

# Anchor ids are hex digits, so that no anchor has such a key.
PRESENCE_PREFIX = "presence/"
PRESENCE_FORMAT = 1


@dataclass(frozen=True, slots=True)
class PresenceRecord:
    """It travels with the anchors because predictions depend on it; the newest of a key counts.

    Attributes:
        key: as the learner calls it; `evidence/SLOT` is what one worker slot says, and is replaced by its next record.
        value: bytes that only the learner reads.
        fingerprint: the encoder whose vectors it is about.
        vocabulary: hash of the vocabulary that the writer had.
    """

    key: str
    value: bytes
    fingerprint: str
    vocabulary: str

    def to_record(self, writer: str) -> OutRecord:
        """The record for the compacted anchors topic; `writer` as for `AnchorRecord.to_record`."""
        headers = {
            "content-type": "application/octet-stream",
            "fingerprint": self.fingerprint,
            "vocabulary": self.vocabulary,
            "writer": writer,
            FORMAT: str(PRESENCE_FORMAT),
        }
        pairs = tuple((name, text.encode()) for name, text in headers.items())
        return OutRecord("anchors", (PRESENCE_PREFIX + self.key).encode(), self.value, pairs)

    @classmethod
    def from_record(cls, key: str, value: bytes, headers: Headers) -> "PresenceRecord":
        """Read a record back."""
        fields = decode_headers(headers)
        check_format(fields, PRESENCE_FORMAT, "a presence record")
        try:
            return cls(key.removeprefix(PRESENCE_PREFIX), value, fields["fingerprint"], fields["vocabulary"])
        except KeyError as error:
            raise MalformedEvent(f"not a presence record: there is no header {error}") from error
