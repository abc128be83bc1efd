"""What a method is to the rest: the protocol `Learner`, and the columns that it is given and answers with.

A learner predicts a batch, and then takes in what came with it. Anchors are kept once, in `anchors/`, for all learners
of a process; a learner is told which of them are new and which are gone, as columns, and may look at all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.anchors.anchors import Labels as Labels
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.packing import Arrays

ClassKind = Literal["labelled", "present", "dormant"]
"""A class has anchors; or has none, but the traffic shows it; or neither."""

Records = Mapping[str, bytes | None]
"""What workers tell each other beside the anchors, by key; the newest of a key counts, None withdraws it."""


class Events(NamedTuple):
    """A batch of traffic, labelled or not.

    Attributes:
        keys: uint64 (B,), `key_of` the events' ids: an anchor made of an event has the same key, whenever it comes.
        vectors: float32 (B, d), unit.
    """

    keys: NDArray[np.uint64]
    vectors: NDArray[np.float32]

    @classmethod
    def none(cls, dimension: int) -> "Events":
        """No events, of d numbers."""
        return cls(np.zeros(0, np.uint64), np.zeros((0, dimension), np.float32))


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """What a learner says about B events, over C classes. The arrays are the caller's.

    Attributes:
        zero_shot: float32 (B, C), probabilities of the untouched model.
        undamped: float32 (B, C), the learner's own; equal to `zero_shot` while it knows nothing.
        adapted: float32 (B, C), what is published: `undamped`, but where a guard holds it back.
        in_reach: bool (B,), the events about which labels may say something; None: all of them.
    """

    zero_shot: NDArray[np.float32]
    undamped: NDArray[np.float32]
    adapted: NDArray[np.float32]
    in_reach: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Standing:
    """What the C classes are taken for now.

    Attributes:
        kinds: C long.
        presence: float32 (C,) in (0, 1], how far each class is held to be in the traffic; 1 for labelled ones.
        sure: float64 (`confidence.BINS`,), how sure zero-shot is of the traffic of labelled classes; None: nobody can
            tell.
        moves: float64 (2, `confidence.BINS`), what moves to names without labels cost labelled events; None:
            nobody can tell.
        surest: float64 (C,), zero-shot's largest probability of each class in the traffic; None: nobody can tell.
    """

    kinds: Sequence[ClassKind]
    presence: NDArray[np.float32]
    sure: NDArray[np.float64] | None = None
    moves: NDArray[np.float64] | None = None
    surest: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class LearnerContext:
    """What a learner may use of the process that it runs in.

    Attributes:
        clock: monotonic seconds, for what is due once in a while; None: it is due at every update, and runs repeat.
        background: for work that no batch may wait for; None: it is done in line.
        device: where products are computed, as torch names it; "numpy" for NumPy.
        slot: this process's name among those that share their records; one that lasts where there is one.
        publishes: whether somebody asks for `records` and hands them to all, this learner included; False: what this
            learner finds in its own traffic is in force at once.
        give_way: called within long work, where answers may be given: from what is in force then.
        seed: for whatever is drawn.
    """

    clock: Callable[[], float] | None = None
    background: Executor | None = None
    device: str = "numpy"
    slot: str = "local"
    publishes: bool = False
    give_way: Callable[[], None] = lambda: None
    seed: int = 0


class Learner(Protocol):
    """A method that learns from a stream. Belongs to one thread; does no I/O.

    For each batch one `predict`, then one `update`. What it has learned is a function of the anchors, of the traffic
    and of the records that it followed: after `forget` it answers as if the labels had never come. What derives
    from this has no records and no state, and all is in force at once, unless it says otherwise.
    """

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        """Answer for float32 (B, d) unit vectors, B may be 0; later answers do not depend on this call."""

    def update(self, events: Events, labels: Labels) -> None:
        """Take in a batch of traffic and the anchors that are new: all of it or, if it raises, nothing.

        The labels are those of this batch or of earlier events, by key. Either may be empty; also called with neither,
        while nothing arrives: what is due by the clock is done here.
        """

    def follow(self, labels: Labels, records: Records) -> None:
        """Take in what other workers learned, and what they and this one published.

        Raises:
            ValueError: a record cannot be read.
        """

    def forget(self, rows: NDArray[np.int64], vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """Anchors that are gone: int64 (n,) row ids, float32 (n, d) as they were stored, int64 (n,) classes."""

    def set_classes(self, classes: Classes, former: NDArray[np.int64]) -> None:
        """Go over to another vocabulary.

        Args:
            classes: C of them.
            former: int64 (C,), which of the former ones each is; −1 where it is new. A former class that is nowhere in
                it is gone, and its anchors were forgotten before.
        """

    def records(self) -> Mapping[str, bytes]:
        """What other workers should be told and was not yet, by key: small, and most of the time nothing."""
        return {}

    def standing(self) -> Standing:
        """What each class is taken for now."""

    def state(self) -> dict[str, NDArray[Any]]:
        """What is known beside the anchors, as arrays that nothing changes any more."""
        return {}

    def restore(self, arrays: Arrays) -> None:
        """Take over what `state` gave; the anchors are there already. Arrays of another form are passed over.

        Raises:
            SnapshotError: the arrays are this learner's and cannot be used; it is to be thrown away.
        """

    @property
    def version(self) -> str:
        """What answers now, in a few letters: changes when anything changes that answers depend on but the anchors."""

    @property
    def pending(self) -> int:
        """Changes that answers do not know yet: 0 where all are in force."""
        return 0


MakeLearner = Callable[[Classes, Anchors, Any, LearnerContext], Learner]
"""Makes a learner of classes, the anchors that are kept for it, its settings and its context."""


def standing_of(
    labelled: NDArray[np.bool_], presence: NDArray[np.float32] | None = None, there: NDArray[np.bool_] | None = None
) -> Standing:
    """Kinds from who is labelled and who the traffic shows, bool (C,), beside presences, float32 (C,).

    Without the latter two nobody can tell.
    """
    seen = np.zeros(len(labelled), np.bool_) if there is None else there
    pairs = zip(labelled.tolist(), seen.tolist(), strict=True)
    kinds: list[ClassKind] = ["labelled" if one else "present" if shown else "dormant" for one, shown in pairs]
    return Standing(kinds, np.ones(len(labelled), np.float32) if presence is None else presence)
