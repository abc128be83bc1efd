"""Files as source, sink and changelog."""

from stream_adapter.transport.files.changelog import FileAnchorChangelog
from stream_adapter.transport.files.sink import FileSink
from stream_adapter.transport.files.source import FileSource

__all__ = ["FileAnchorChangelog", "FileSink", "FileSource"]
