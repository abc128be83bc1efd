"""A topic as it is now, written into a file: to be replayed on the file transport, or kept as evidence."""

from pathlib import Path
from typing import Literal

from stream_adapter.config import Config
from stream_adapter.errors import TransportError
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.reading import TopicReader
from stream_adapter.transport.recorded import to_line


def record_topic(
    config: Config, role: Literal["images", "predictions", "anchors", "dead_letters"], output: Path
) -> int:
    """Write all records of a topic, as of now; returns how many.

    Raises:
        TransportError: the topic cannot be read or the file cannot be written.
    """
    reader = TopicReader(Connection(config.kafka), getattr(config.kafka.topics, role))
    number = 0
    try:
        with output.open("wb") as lines:
            for records in reader.portions():
                lines.writelines(map(to_line, records))
                number += len(records)
    except OSError as error:
        raise TransportError(f"cannot write {output}: {error.strerror}") from error
    finally:
        reader.close()
    return number
