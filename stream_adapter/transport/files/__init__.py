"""Files as source, sink and changelog."""

from stream_adapter.transport.files.changelog import FileChangelog
from stream_adapter.transport.files.sink import FileSink
from stream_adapter.transport.files.source import FileSource

__all__ = ["FileChangelog", "FileSink", "FileSource"]
