"""How the demo's pictures reach the worker and its predictions come back: through Kafka, or through files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream_adapter.events import image_event_headers
from stream_adapter.transport.base import Headers, Partition, Record
from stream_adapter.transport.recorded import to_line


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded picture on its way.

    Attributes:
        event_id: CloudEvents id, also the record's key.
        label: class name, or None where nobody labelled it.
    """

    event_id: str
    data: bytes = field(repr=False)
    label: str | None

    @property
    def headers(self) -> Headers:
        """CloudEvents attributes, binary mode."""
        return image_event_headers(source="/demo", id=self.event_id, content_type="image/jpeg", label=self.label)


class KafkaFeed:
    """Through two topics."""

    def __init__(self, bootstrap_servers: str, images: str, predictions: str) -> None:
        from kafka import KafkaConsumer, KafkaProducer, TopicPartition

        self._images = images
        self._producer = KafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", linger_ms=5)
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
        partitions = self._consumer.partitions_for_topic(predictions) or set()
        self._consumer.assign([TopicPartition(predictions, number) for number in sorted(partitions)])

    def send(self, picture: Picture) -> None:
        """Send one picture; the producer's thread takes it from here."""
        self._producer.send(
            self._images, key=picture.event_id.encode(), value=picture.data, headers=list(picture.headers)
        )

    def sent_all(self) -> None:
        """Wait until the broker has them all."""
        self._producer.flush()

    def predictions(self) -> Iterator[dict[str, Any]]:
        """Predictions that have arrived."""
        for records in self._consumer.poll(timeout_ms=50).values():
            for record in records:
                yield json.loads(record.value)

    def close(self) -> None:
        """Close both clients."""
        self._producer.close()
        self._consumer.close()


class FilesFeed:
    """Through a recorded topic in a file, read by a worker on the file transport, which starts when all is written."""

    def __init__(self, stream: Path, predictions: Path) -> None:
        self._stream = stream.open("wb")
        self._predictions = predictions
        self._offset = 0
        self._read_to = 0

    def send(self, picture: Picture) -> None:
        """Append one record."""
        record = Record(
            Partition("images", 0), self._offset, 0, picture.event_id.encode(), picture.data, picture.headers
        )
        self._stream.write(to_line(record))
        self._offset += 1

    def sent_all(self) -> None:
        """Close the file; the worker may start."""
        self._stream.close()

    def predictions(self) -> Iterator[dict[str, Any]]:
        """Lines that were added; one that is still being written waits for the next call."""
        if not self._predictions.exists():
            return
        with self._predictions.open("rb") as lines:
            lines.seek(self._read_to)
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                self._read_to += len(line)
                yield json.loads(line)

    def close(self) -> None:
        """Close the file where that was not done."""
        self._stream.close()


Feed = KafkaFeed | FilesFeed
