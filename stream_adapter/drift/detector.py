"""What every detector is: a pure, seeded object that reads values and says in which row something was proven.

A detector keeps bounded memory, answers the same whether it is fed one event at a time or in batches, and hands out its
whole state as JSON values, so that a restored one goes on as if nothing had happened: tests/drift/test_contract.py.
"""

import base64
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.confidence_sequence import Interval

State = dict[str, Any]
"""A detector's state: JSON values only (arrays go through `pack`), exact to the last bit."""

ALL = -1
"""The subject of what is about all events together, and no class or group of its own."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A detector's finding.

    Attributes:
        row: row of the batch that completed the proof.
        observed: values that the finding rests on.
        since: how many values ago, at a guess, what was found began; 0 where the detector cannot tell.
        e_value: how strongly the data speak against "nothing happened": its expectation is at most 1 there. None for
            detectors that have no such guarantee.
        subject: class or group that it is about, or `ALL`.
        interval: where the quantity in question lies, for detectors that know it.
        details: figures to show to a person.
    """

    row: int
    observed: int
    since: int = 0
    e_value: float | None = None
    subject: int = ALL
    interval: Interval | None = None
    details: Mapping[str, float] = field(default_factory=dict)


class Stateful:
    """Hands out what `KEPT` names of it, and goes on from that.

    What it names are arrays, numbers, texts, lists and queues of these, other `Stateful`s, and dictionaries of all that
    by name; of what kind each is the present value says.
    """

    KEPT: ClassVar[tuple[str, ...]] = ()

    def state(self) -> State:
        """Everything needed to go on."""
        return {name.removeprefix("_"): _packed(getattr(self, name)) for name in self.KEPT}

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        for name in self.KEPT:
            setattr(self, name, _unpacked(state[name.removeprefix("_")], getattr(self, name)))


def _packed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return pack(value)
    if isinstance(value, dict):
        return {str(name): _packed(item) for name, item in value.items()}
    if isinstance(value, list | tuple | deque):
        return [_packed(item) for item in value]
    return value.state() if hasattr(value, "state") else value


def _unpacked(packed: Any, now: Any) -> Any:
    if packed is None:
        return None
    if now is None or isinstance(now, np.ndarray):
        array = unpack(packed)
        return array if now is None else array.astype(now.dtype, copy=False)
    if isinstance(now, dict):
        return {name: _unpacked(packed[str(name)], item) for name, item in now.items()}
    if isinstance(now, deque):
        return deque(packed, now.maxlen)
    if hasattr(now, "restore"):
        now.restore(packed)
        return now
    return type(now)(packed)


def moved(column: NDArray[Any], former: NDArray[np.int64], empty: Any) -> NDArray[Any]:
    """What is known by class, (C before, ...), over other classes: int64 (C,), the former one of each or −1."""
    after = np.full((len(former), *column.shape[1:]), empty, column.dtype)
    after[former >= 0] = column[former[former >= 0]]
    return after


def numbers_now(former: NDArray[np.int64]) -> dict[int, int]:
    """Former class number to present one, of those that are still there."""
    kept = np.flatnonzero(former >= 0)
    return dict(zip(former[kept].tolist(), kept.tolist(), strict=True))


def pack(array: NDArray[Any]) -> State:
    """An array as JSON values, bit for bit."""
    contiguous = np.ascontiguousarray(array)
    return {
        "dtype": contiguous.dtype.str,
        "shape": list(array.shape),
        "data": base64.b64encode(contiguous.tobytes()).decode("ascii"),
    }


def unpack(packed: State) -> NDArray[Any]:
    """The array that `pack` was given.

    Raises:
        ValueError: the bytes do not fill the shape.
    """
    data = base64.b64decode(packed["data"], validate=True)
    return np.frombuffer(data, dtype=np.dtype(packed["dtype"])).reshape(packed["shape"]).copy()
