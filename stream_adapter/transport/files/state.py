"""`positions.json`: how far the input was consumed and how long each output was then."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream_adapter.errors import TransportError
from stream_adapter.output_file import open_output
from stream_adapter.transport.base import Partition

POSITIONS = "positions.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Place:
    """How far an input was consumed.

    Attributes:
        mark: what the input finds its place by, where a number is not enough.
    """

    offset: int
    mark: str | None


@dataclass(frozen=True, slots=True)
class Extent:
    """How long an output was: its size in bytes, and its lines."""

    bytes: int
    records: int


@dataclass(slots=True)
class State:
    """What a run leaves for the next one: its input, how far that was consumed, and each output's length by channel."""

    input: str
    places: dict[Partition, Place] = field(default_factory=dict)
    extents: dict[str, Extent] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write it in one step: a reader sees the old state or the new one, whatever happens meanwhile.

        Raises:
            OSError: it cannot be written.
        """
        document = {
            "version": _VERSION,
            "input": self.input,
            "positions": [
                {"topic": at.topic, "partition": at.number, "offset": place.offset, "after": place.mark}
                for at, place in self.places.items()
            ],
            "outputs": {channel: [extent.bytes, extent.records] for channel, extent in self.extents.items()},
        }
        with open_output(folder / POSITIONS) as file:
            file.write(json.dumps(document, indent=1).encode())

    @classmethod
    def load(cls, folder: Path, input: Path) -> "State":
        """The state that the last run left in its output folder; an empty one where there was none."""
        path = folder / POSITIONS
        try:
            document: Mapping[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls(str(input))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise TransportError(f"cannot read {path}: {error}; delete it to start from the beginning") from error
        if document.get("version") != _VERSION:
            raise TransportError(
                f"{path} has version {document.get('version')!r}, not {_VERSION}; use a new output folder"
            )
        if (known := document.get("input")) != str(input):
            raise TransportError(
                f"{path} belongs to the input {known!r}, not to {str(input)!r}; use a new output folder, "
                "or delete the file to read the new input from its beginning"
            )
        try:
            places = dict(map(_place_in, document["positions"]))
            extents = {
                channel: Extent(*(_number(one, f"outputs.{channel}") for one in numbers))
                for channel, numbers in document["outputs"].items()
            }
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise TransportError(f"cannot read {path}: {error!r}; delete it to start from the beginning") from error
        return cls(str(input), places, extents)


def _place_in(entry: Mapping[str, Any]) -> tuple[Partition, Place]:
    topic, mark = entry["topic"], entry["after"]
    if not isinstance(topic, str) or not isinstance(mark, str | None):
        raise ValueError(f"`topic` and `after` must be texts, found {topic!r} and {mark!r}")
    numbers = (_number(entry[key], f"positions.{key}") for key in ("partition", "offset"))
    return Partition(topic, next(numbers)), Place(next(numbers), mark)


def _number(value: object, key: str) -> int:
    # A truth value is an int to `isinstance`; and no file is longer than the system can say.
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"`{key}` must be a whole number, 0 or more, found {value!r}")
    return value
