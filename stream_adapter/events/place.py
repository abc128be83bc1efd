"""Where a record is, as an identity: of events that bring none, and of what is said about an event."""

from functools import lru_cache
from urllib.parse import quote

from stream_adapter.transport.base import Record


def source_of(record: Record) -> str:
    """The topic as a CloudEvents source, which is a URI reference."""
    return _quoted(record.partition.topic)


@lru_cache(maxsize=256)
def _quoted(topic: str) -> str:
    return quote(topic, errors="replace")


def place_of(record: Record) -> str:
    """Topic, partition and offset, such as `images-0@17`: an identity for a record that brings none."""
    return f"{record.partition}@{record.offset}".encode(errors="replace").decode()
