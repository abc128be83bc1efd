"""What the monitors said in the last hours, as a page for people."""

from collections.abc import Iterator
from pathlib import Path

from stream_adapter.config import Config
from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.events.drift import DriftEvent
from stream_adapter.operations.drift_page import drift_page
from stream_adapter.output_file import open_output
from stream_adapter.transport.base import Record
from stream_adapter.transport.files.sink import DRIFT
from stream_adapter.transport.kafka.reading import read_topic
from stream_adapter.transport.recorded import from_line

_HOUR_MS = 3_600_000


def write_drift_report(config: Config, output: Path, *, hours: float) -> int:
    """Write the page of the last `hours` before the newest event; returns how many events are on it.

    Time is the events' own, so a recording of last year has a last day too.

    Args:
        config: where the drift topic is, or on the file transport `drift.jsonl` in the output folder.
        output: the page.
        hours: how far back.

    Raises:
        TransportError: the events cannot be read, or the page cannot be written.
    """
    events: list[DriftEvent] = []
    unreadable = 0
    for record in _records(config):
        try:
            events.append(DriftEvent.from_record(record.value, record.headers))
        except MalformedEvent:
            unreadable += 1
    events.sort(key=lambda event: event.time_ms)
    if events:
        since = events[-1].time_ms - hours * _HOUR_MS
        events = [event for event in events if event.time_ms >= since]
    try:
        with open_output(output) as file:
            file.write(drift_page(events, hours=hours, unreadable=unreadable).encode())
    except OSError as error:
        raise TransportError(f"cannot write {output}: {error.strerror}") from error
    return len(events)


def _records(config: Config) -> Iterator[Record]:
    if config.transport == "kafka":
        yield from read_topic(config.kafka, config.kafka.topics.drift)
        return
    assert config.files is not None  # validated with the configuration
    path = config.files.output / DRIFT
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield from_line(line)
                except MalformedEvent as error:
                    raise TransportError(f"{path} line {number} is not a recorded record: {error}") from error
    except OSError as error:
        raise TransportError(f"cannot read {path}: {error.strerror}; did a worker run with this output?") from error
