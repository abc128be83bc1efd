"""Files as source, sink and changelog. What cannot be read or written, or is not as it must be: `TransportError`."""

from stream_adapter.transport.files.changelog import FileChangelog
from stream_adapter.transport.files.sink import FileSink
from stream_adapter.transport.files.source import FileSource

__all__ = ["FileChangelog", "FileSink", "FileSource"]
