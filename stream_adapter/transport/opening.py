"""The configured transport: Kafka or files."""

import contextlib
from collections.abc import Sequence

from stream_adapter.config import Config
from stream_adapter.transport.base import OutRecord, Sink, Source
from stream_adapter.transport.changelog import AnchorChangelog
from stream_adapter.transport.files import FileAnchorChangelog, FileSink, FileSource
from stream_adapter.transport.kafka import KafkaAnchorChangelog, KafkaSink, KafkaSource, write_outputs


def open_transport(config: Config, stack: contextlib.ExitStack) -> tuple[Source, Sink]:
    """Source and sink, to be closed by `stack`.

    Raises:
        TransportError: the broker does not answer, a topic is missing, or a file cannot be used.
    """
    if config.transport == "kafka":
        source = KafkaSource(config.kafka)
        stack.callback(source.close)
        sink = KafkaSink(source)
        stack.callback(sink.close)
        return source, sink
    assert config.files is not None  # validated with the configuration
    file_source = FileSource(config.files)
    stack.callback(file_source.close)
    file_sink = FileSink(config.files)
    stack.callback(file_sink.close)
    return file_source, file_sink


def open_changelog(config: Config, writer: str) -> AnchorChangelog:
    """The anchors as they were written; what `writer` wrote is left out while following.

    Raises:
        TransportError: the broker does not answer, the topic is missing, or the file cannot be read.
    """
    if config.transport == "kafka":
        return KafkaAnchorChangelog(config.kafka, writer=writer)
    assert config.files is not None
    return FileAnchorChangelog(config.files)
