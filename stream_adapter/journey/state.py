"""What a worker knows beside its anchors, in the form in which a snapshot keeps it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.packing import (
    Arrays,
    array_of,
    pack_repeated,
    pack_strings,
    unpack_repeated,
    unpack_strings,
)
from stream_adapter.errors import SnapshotError
from stream_adapter.journey.vocabulary import ClassesNow


@dataclass(frozen=True, eq=False, slots=True)
class JourneyState:
    """A copy, taken at one moment.

    Attributes:
        labels: anchor ids of labelled events that are remembered, oldest first, with their labels.
        learner: the learner's arrays, see `Adapter.learner_state`.
        records: the newest record of each key that workers published.
        accuracy: prequential accuracy, JSON.
        drift: the drift monitor's state, JSON.
        classes: those that all of this is about.
        set_aside: anchors that have no class, as `SetAside.arrays` gives them.
    """

    labels: Sequence[tuple[str, str]]
    learner: Arrays
    records: Mapping[str, bytes]
    accuracy: Mapping[str, Any]
    drift: Mapping[str, Any]
    classes: ClassesNow
    set_aside: Arrays

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Its arrays, for a snapshot; any thread may call it."""
        return {
            **pack_strings("labels.ids", [anchor_id for anchor_id, _ in self.labels]),
            **pack_repeated("labels.names", [label for _, label in self.labels]),
            **pack_strings("records.keys", list(self.records)),
            "records.bytes": np.frombuffer(b"".join(self.records.values()), np.uint8),
            "records.lengths": np.array([len(value) for value in self.records.values()], np.int64),
            **self.learner,
            **self.classes.arrays(),
            **self.set_aside,
        }

    def facts(self) -> dict[str, Any]:
        """What of it is JSON."""
        return {"accuracy": self.accuracy, "drift": self.drift}

    @classmethod
    def of(cls, arrays: Arrays, facts: Mapping[str, Any]) -> "JourneyState":
        """Read it back.

        Raises:
            SnapshotError: a part is missing, or of another form.
        """
        try:
            ids, names = unpack_strings("labels.ids", arrays), unpack_repeated("labels.names", arrays)
            return cls(
                labels=list(zip(ids, names, strict=True)),
                learner={name: array for name, array in arrays.items() if name.startswith("learner.")},
                records=_records(arrays),
                accuracy=dict(facts["accuracy"]),
                drift=dict(facts["drift"]),
                classes=ClassesNow.of(arrays),
                set_aside={name: array for name, array in arrays.items() if name.startswith("set_aside.")},
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SnapshotError(f"what the worker knew beside its anchors cannot be used: {error!r}") from error


def _records(arrays: Arrays) -> dict[str, bytes]:
    keys, joined = unpack_strings("records.keys", arrays), array_of(arrays, "records.bytes", np.uint8).tobytes()
    lengths = array_of(arrays, "records.lengths", np.int64).tolist()
    if any(length < 0 for length in lengths) or sum(lengths) != len(joined):
        raise ValueError(f"the lengths of `records` do not add up to {len(joined)}")
    values, start = [], 0
    for length in lengths:
        values.append(joined[start : start + length])
        start += length
    return dict(zip(keys, values, strict=True))
