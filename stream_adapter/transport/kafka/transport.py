"""`KafkaTransport`: every role a topic."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

from pydantic import BaseModel

from stream_adapter.config import KafkaConfig
from stream_adapter.transport.base import OutRecord, Record
from stream_adapter.transport.kafka.changelog import KafkaChangelog
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.labels import KafkaLabelFeed
from stream_adapter.transport.kafka.producing import produce, resending, write_outputs
from stream_adapter.transport.kafka.reading import TopicReader
from stream_adapter.transport.kafka.sink import KafkaSink
from stream_adapter.transport.kafka.source import KafkaSource
from stream_adapter.transport.transport import Progress, Role


class KafkaTransport:
    """Topics in, topics out; see `Transport`. `KafkaConfig` has their names by role."""

    Settings: ClassVar[type[BaseModel]] = KafkaConfig

    def __init__(self, settings: KafkaConfig) -> None:
        self._settings = settings

    @property
    def worker_name(self) -> str | None:
        """The name by which the group knows this worker, where it has one."""
        return self._settings.group_instance_id

    def connect(self, stack: contextlib.ExitStack) -> tuple[KafkaSource, KafkaSink]:
        """Source and sink; see `Transport.connect`."""
        source = stack.enter_context(contextlib.closing(KafkaSource(self._settings)))
        return source, stack.enter_context(contextlib.closing(KafkaSink(source)))

    def open_changelog(self, writer: str) -> KafkaChangelog:
        """The compacted anchors topic."""
        return KafkaChangelog(self._settings, writer=writer)

    def open_labels(self) -> KafkaLabelFeed:
        """The labels topic, and what waits for it."""
        return KafkaLabelFeed(self._settings)

    def open_log(self, role: Role, reader: str | None = None) -> TopicReader:
        """A role's topic; places are kept as a group's, `group_id`-`reader`."""
        group = None if reader is None else f"{self._settings.group_id}-{reader}"
        return TopicReader(Connection(self._settings), getattr(self._settings.topics, role), group)

    def write(self, outputs: Sequence[OutRecord]) -> None:
        """To the topics of their channels; see `Transport.write`."""
        write_outputs(self._settings, outputs)

    def produce(self, records: Iterable[Record], *, rate: float | None = None) -> Iterator[Progress]:
        """To the images topic, by key; see `Transport.produce`."""
        return produce(self._settings, records, self._settings.topics.images, rate=rate)

    def resend(self) -> contextlib.AbstractContextManager[Callable[[Sequence[Record]], None]]:
        """Each to the topic that it was read from; see `Transport.resend`."""
        return resending(self._settings)
