"""A topic as it is now, written into a file: to be replayed on the file transport, or kept as evidence."""

import contextlib
from itertools import chain
from pathlib import Path

from stream_adapter.config import Config
from stream_adapter.errors import TransportError
from stream_adapter.output_file import open_output
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.recorded import to_line
from stream_adapter.transport.transport import Role


def record_topic(config: Config, role: Role, output: Path) -> int:
    """Write all records of a topic, as of now; returns how many."""
    number = 0
    with contextlib.closing(transport_of(config).open_log(role)) as log:
        portions = log.portions()
        first = next(portions, ())  # before the output is opened: where the role cannot be read it stays as it is
        try:
            with open_output(output) as lines:
                for record in chain(first, chain.from_iterable(portions)):
                    lines.write(to_line(record))
                    number += 1
        except OSError as error:
            raise TransportError(f"cannot write {output}: {error.strerror}") from error
    return number
