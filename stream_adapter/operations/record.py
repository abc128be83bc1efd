"""A topic as it is now, written into a file: to be replayed on the file transport, or kept as evidence."""

import contextlib
from pathlib import Path

from stream_adapter.config import Config
from stream_adapter.errors import TransportError
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.recorded import to_line
from stream_adapter.transport.transport import Role


def record_topic(config: Config, role: Role, output: Path) -> int:
    """Write all records of a topic, as of now; returns how many.

    Raises:
        TransportError: the topic cannot be read or the file cannot be written.
    """
    number = 0
    with contextlib.closing(transport_of(config).open_log(role)) as log:  # before the file, which may have something
        try:
            with output.open("wb") as lines:
                for records in log.portions():
                    lines.writelines(map(to_line, records))
                    number += len(records)
        except OSError as error:
            raise TransportError(f"cannot write {output}: {error.strerror}") from error
    return number
