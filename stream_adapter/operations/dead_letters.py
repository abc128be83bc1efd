"""Dead letters from an operator's side: what is there, and sending the originals back."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stream_adapter.config import Config
from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.output_file import open_output
from stream_adapter.transport import dead_letters
from stream_adapter.transport.base import Record
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.reading import TopicReader, read_topic
from stream_adapter.transport.recorded import from_line, to_line

_GROUP_SUFFIX = "-dead-letters-replay"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter for a person.

    Attributes:
        origin: where the event came from, such as "images-0@17".
        stage: where on the journey it was refused.
        reason: why.
        key: the event's key as text.
        bytes: size of the payload.
        record: the dead letter itself.
    """

    origin: str
    stage: str
    reason: str
    key: str
    bytes: int
    record: Record


def letter_of(record: Record) -> Letter:
    """Read a dead letter.

    Raises:
        MalformedEvent: the record is not one of ours.
    """
    stage, _, reason = dead_letters.reason(record).partition(": ")
    headers = dict(record.headers)
    origin = "{}-{}@{}".format(
        *(headers[name].decode() for name in (dead_letters.TOPIC, dead_letters.PARTITION, dead_letters.OFFSET))
    )
    key = (record.key or b"").decode(errors="replace")
    return Letter(origin, stage, reason, key, len(record.value or b""), record)


def read_letters(config: Config) -> Iterator[Letter]:
    """All dead letters that are there now, oldest first; what is none is left out.

    Raises:
        TransportError: the topic or file cannot be read.
    """
    for record in _records(config):
        with contextlib.suppress(MalformedEvent):
            yield letter_of(record)


def replay(config: Config, *, stage: str | None = None) -> Counter[str]:
    """Send the originals back to the topic that they came from.

    Without a stage, each letter once: the next call goes on where this one ended. With a stage, all letters of that
    stage, also those that were sent back before: where a call ended says nothing about letters that it passed over.

    On the file transport the originals are written to `replay.jsonl` in the output folder, a recorded topic to run on.

    Args:
        config: where the letters are.
        stage: only letters of this stage.

    Returns:
        How many were "sent", "passed over" (another stage) and "unusable" (no dead letter, or without its value).

    Raises:
        TransportError: letters cannot be read or originals cannot be written.
    """
    if config.transport == "files":
        return _replay_file(config, stage)
    connection = Connection(config.kafka)
    group = None if stage else config.kafka.group_id + _GROUP_SUFFIX
    reader = TopicReader(connection, config.kafka.topics.dead_letters, group)
    producer = connection.producer()
    counts: Counter[str] = Counter()
    try:
        for records in reader.portions():
            futures = []
            for record in records:
                original = _original(record, stage, counts)
                if original is not None:
                    with connection.errors_of(f"cannot send to topic {original.partition.topic!r}", "Write"):
                        futures.append(
                            producer.send(
                                original.partition.topic,
                                key=original.key,
                                value=original.value,
                                headers=list(original.headers),
                            )
                        )
            with connection.errors_of("cannot send dead letters back", "Write"):
                for future in futures:
                    future.get(timeout=connection.deadline_s)
            if group is not None:
                # After the acknowledgements: a crash in between sends some twice, and twice teaches once.
                reader.commit(records)
    finally:
        producer.close(timeout=connection.deadline_s)
        reader.close()
    return counts


def _replay_file(config: Config, stage: str | None) -> Counter[str]:
    counts: Counter[str] = Counter()
    output = _folder(config) / "replay.jsonl"
    try:
        with open_output(output) as lines:
            for record in _records(config):
                original = _original(record, stage, counts)
                if original is not None:
                    lines.write(to_line(original))
    except OSError as error:
        raise TransportError(f"cannot write {output}: {error.strerror}") from error
    return counts


def _original(record: Record, stage: str | None, counts: Counter[str]) -> Record | None:
    try:
        if stage is not None and letter_of(record).stage != stage:
            counts["passed over"] += 1
            return None
        original = dead_letters.undo(record)
    except MalformedEvent:
        counts["unusable"] += 1
        return None
    counts["sent"] += 1
    return original


def _records(config: Config) -> Iterator[Record]:
    if config.transport == "files":
        path = _folder(config) / "dead-letters.jsonl"
        try:
            with path.open("rb") as lines:
                yield from map(from_line, lines)
        except FileNotFoundError:
            return
        except OSError as error:
            raise TransportError(f"cannot read {path}: {error.strerror}") from error
        return
    yield from read_topic(config.kafka, config.kafka.topics.dead_letters)


def _folder(config: Config) -> Path:
    assert config.files is not None  # validated with the configuration
    return config.files.output
