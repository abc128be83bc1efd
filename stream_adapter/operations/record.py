"""A topic as it is now, written into a file: to be replayed on the file transport, or kept as evidence."""

from itertools import chain
from pathlib import Path
from typing import Literal

from stream_adapter.config import Config
from stream_adapter.errors import TransportError
from stream_adapter.output_file import open_output
from stream_adapter.transport.kafka import read_topic
from stream_adapter.transport.recorded import to_line


def record_topic(
    config: Config, role: Literal["images", "predictions", "anchors", "dead_letters", "drift"], output: Path
) -> int:
    """Write all records of a topic, as of now; returns how many.

    Raises:
        TransportError: the topic cannot be read or the file cannot be written.
    """
    records = read_topic(config.kafka, getattr(config.kafka.topics, role))
    first = next(records, None)  # before the output is opened: without a broker, or such a topic, it stays as it is
    number = 0
    try:
        with open_output(output) as lines:
            for record in chain(() if first is None else (first,), records):
                lines.write(to_line(record))
                number += 1
    except OSError as error:
        raise TransportError(f"cannot write {output}: {error.strerror}") from error
    return number
