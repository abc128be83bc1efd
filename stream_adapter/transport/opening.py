"""The configured transport, for the worker and for the commands beside it."""

import contextlib
from collections.abc import Sequence

from stream_adapter.config import Config
from stream_adapter.transport.base import Commit, OutRecord, Sink, Source
from stream_adapter.transport.changelog import Changelog
from stream_adapter.transport.files import FileChangelog, FileSink, FileSource
from stream_adapter.transport.kafka import KafkaChangelog, KafkaSink, KafkaSource, write_outputs


def open_transport(config: Config, stack: contextlib.ExitStack) -> tuple[Source, Sink]:
    """Source and sink, to be closed by `stack`.

    Raises:
        TransportError: the broker does not answer, a topic is missing, or a file cannot be used.
    """
    if config.transport == "kafka":
        kafka_source = KafkaSource(config.kafka)
        stack.callback(kafka_source.close)
        kafka_sink = KafkaSink(kafka_source)
        stack.callback(kafka_sink.close)
        return kafka_source, kafka_sink
    assert config.files is not None  # validated with the configuration
    file_source = FileSource(config.files)
    stack.callback(file_source.close)
    file_sink = FileSink(config.files, file_source)
    stack.callback(file_sink.close)
    return file_source, file_sink


def open_changelog(config: Config, writer: str) -> Changelog:
    """The anchors as they were written; `writer` is who reads, and knows its own records by the name.

    Raises:
        TransportError: the broker does not answer, the topic is missing, or the file cannot be read.
    """
    if config.transport == "kafka":
        return KafkaChangelog(config.kafka, writer=writer)
    assert config.files is not None
    return FileChangelog(config.files, writer)


def write_anchor_records(config: Config, records: Sequence[OutRecord]) -> None:
    """Write to the anchors beside a worker, or, on files, in its absence.

    Raises:
        TransportError: the records were not written; on files, a worker is running.
    """
    if config.transport == "kafka":
        write_outputs(config.kafka, records)
        return
    assert config.files is not None
    with contextlib.closing(FileSink(config.files, FileSource(config.files))) as sink:
        sink.commit(Commit(records))
