"""What a worker knows beside its anchors, in the form in which a snapshot keeps it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.traffic_window import TrafficWindow
from stream_adapter.errors import SnapshotError
from stream_adapter.packing import Arrays, array_of, pack_repeated, pack_strings, unpack_repeated, unpack_strings


@dataclass(frozen=True, eq=False, slots=True)
class TaughtState:
    """A copy, taken at one moment.

    Attributes:
        labels: anchor ids of labelled events that are remembered, oldest first, with their labels.
        window: the window of traffic; None where it is one of other classes.
        presence: what was heard of every worker slot, JSON.
        accuracy: prequential accuracy, JSON.
        drift: the drift monitor's state, JSON.
    """

    labels: Sequence[tuple[str, str]]
    window: TrafficWindow | None
    presence: Mapping[str, Any]
    accuracy: Mapping[str, Any]
    drift: Mapping[str, Any]

    def without_window(self) -> "TaughtState":
        """The same without the traffic, which is told in the vocabulary's order."""
        return replace(self, window=None)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Its arrays, for a snapshot; any thread may call it."""
        return {
            **pack_strings("labels.ids", [anchor_id for anchor_id, _ in self.labels]),
            **pack_repeated("labels.names", [label for _, label in self.labels]),
            **({} if self.window is None else {f"window.{name}": a for name, a in self.window._asdict().items()}),
        }

    def facts(self) -> dict[str, Any]:
        """What of it is JSON."""
        return {"presence": self.presence, "accuracy": self.accuracy, "drift": self.drift}

    @classmethod
    def of(cls, arrays: Arrays, facts: Mapping[str, Any]) -> "TaughtState":
        """Read it back.

        Raises:
            SnapshotError: a part is missing, or of another form.
        """
        try:
            ids, names = unpack_strings("labels.ids", arrays), unpack_repeated("labels.names", arrays)
            return cls(
                labels=list(zip(ids, names, strict=True)),
                window=TrafficWindow(
                    zero_shot=array_of(arrays, "window.zero_shot", np.float32, dimensions=2),
                    labelled=array_of(arrays, "window.labelled", np.bool_),
                    believed=array_of(arrays, "window.believed", np.int32, dimensions=2),
                    adapted=array_of(arrays, "window.adapted", np.float32, dimensions=2),
                    vectors=array_of(arrays, "window.vectors", np.float32, dimensions=2),
                ),
                presence=dict(facts["presence"]),
                accuracy=dict(facts["accuracy"]),
                drift=dict(facts["drift"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SnapshotError(f"what the worker knew beside its anchors cannot be used: {error!r}") from error
