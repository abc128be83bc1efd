"""Any learner under the promise: what zero-shot is sure of, and nobody labels, stays what zero-shot says.

A class c without labels can lose on events alone that zero-shot gives to c; elsewhere zero-shot is wrong already.
Labels show how sure zero-shot is where it wrongly gives an event of theirs to a class with few labels or none. Of
such events the least sure share e^−v is won, v being the protection; where zero-shot is surer than that, its answer
stands. Labelled classes then keep on average at least e^−v − 1 / (n + 1) of what the learner wins for them there, n
being the events seen, if their labels are a sample of them (split conformal prediction: Vovk, Gammerman, Shafer,
*Algorithmic Learning in a Random World*, 2005). Before there is any such event all of zero-shot's answers about such
classes stand.

For a name without labels an event leaves zero-shot's class, which may have some, only as far as labelled events have
tried it: `_doubt`. Labels of other views of a class make it narrow, and then any name without labels fits better. And
only for a name of which zero-shot was once as sure as of all but a tenth of the labelled events: `Limits.shown`. If it
is as sure of classes that nobody labels as of the others, each event of a class that is there shows it with a
probability of nine tenths (the same prediction, the other way round).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.confidence import as_traffic, least_sure, strata
from stream_adapter.adapter.learner import Answer, Labels, Learner, Records
from stream_adapter.adapter.mixture.constants import WORTH
from stream_adapter.adapter.wrapped import Wrapped

# Labels, copies counted once, from which on a class looks after itself.
FEW = 5.0
DOUBT = 0.05
"""What zero-shot's class may have left where an event goes to a name without labels, before labelled events tried."""
LEVEL_KEY = "protection"
"""Key of the record that says how often the configured protection is doubled now; of all workers the newest counts."""
# Anchors that are asked, those whose ids hash lowest: the same on all workers.
_MOST_ANCHORS = 2_048
_UNSURE = 0.1  # share of labelled events
_NOTHING = 1e-3  # events' worth below which a net loss is rounding

Asked = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]
"""Row ids of anchors, and zero-shot's top probability and its class, of each."""


def level_of(value: bytes | None) -> int:
    """What a record says; 0 where it is withdrawn.

    Raises:
        ValueError: it says no level.
    """
    level = 0 if value is None else int(value)
    if abs(level) > 4:
        raise ValueError(f"a level of the protection is between -4 and 4, found {level}")
    return level


class Limits:
    """How sure zero-shot must be for its answer to stand.

    Attributes:
        limits: float32 (C,), above which zero-shot's answer stands against a name with labels.
        shown: bool (C,), the names that events may leave another one for without any label; None: all of them.

    Args:
        protection: float64 (C,), v ≥ 0.
        counts: float64 (C,), labels of each class, copies counted once.
        sure: float32 (n,), of labelled events zero-shot's top probability.
        top: int64 (n,), its class.
        classes: int64 (n,), the class that their label names.
        weights: float64 (n,), by how much each counts.
        moves: what moves to names without labels cost labelled events (see `Standing`); None: nobody can tell.
        surest: float64 (C,), zero-shot's largest probability of each class in the traffic; None: nobody can tell.
        level: how often the protection is doubled.
    """

    def __init__(
        self,
        protection: NDArray[np.float64],
        counts: NDArray[np.float64],
        sure: NDArray[np.float32],
        top: NDArray[np.int64],
        classes: NDArray[np.int64],
        weights: NDArray[np.float64],
        moves: NDArray[np.float64] | None = None,
        surest: NDArray[np.float64] | None = None,
        level: int = 0,
    ) -> None:
        self._doubt = _doubt(moves) * 2.0**-level
        self._counts = counts
        self._protected = protection > 0.0
        wrong = (counts[top] < FEW) & (top != classes)
        self.limits = _at_most_so_sure(sure[wrong], weights[wrong], np.exp(-protection))  # (C,)
        self.shown = None if surest is None else surest >= _at_most_so_sure(sure, weights, np.array([_UNSURE]))

    def held(self, zero_shot: NDArray[np.float32], answer: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Bool (B,): the events that stay as they are, of probabilities (B, C) before and after."""
        top, named = zero_shot.argmax(axis=1), answer.argmax(axis=1)
        rows = np.arange(len(top))
        by_labels = zero_shot[rows, top] > self.limits[top]
        by_labels &= self._counts[top] < FEW  # a class with more looks after itself, among classes with labels
        by_traffic = answer[rows, top] > self._doubt
        if self.shown is not None:
            by_traffic |= ~self.shown[named]
        doubtful = np.where(self._counts[named] > 0.0, by_labels, by_traffic)
        return np.asarray((named != top) & self._protected[top] & doubtful)


def _at_most_so_sure(
    sure: NDArray[np.float32], weights: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float32]:
    """How sure zero-shot is at most of these shares (k,) of events (n,) by weight, and of one to come: float32 (k,)."""
    order = np.argsort(sure, kind="stable")
    levels = np.concatenate([[np.float32(0.0)], sure[order]])
    reached = np.cumsum(weights[order])
    return np.asarray(levels[np.searchsorted(reached, shares * (float(weights.sum()) + 1.0) + 1e-9, side="right")])


def _doubt(moves: NDArray[np.float64] | None) -> float:
    """What zero-shot's class may have left at most where an event leaves it for a name that has no label.

    The most at which labelled events, answered as if nothing was labelled, would not have lost more right answers than
    they would have won, by more than the standard error of that. Nor more than `DOUBT` before any of them has left
    zero-shot's class, and than ½, which is everything, once many have.
    """
    if moves is None:
        return DOUBT
    lost, squares = np.cumsum(moves[:, ::-1], axis=1)[:, ::-1]  # in this stratum and all surer ones
    most = DOUBT + (0.5 - DOUBT) * squares[0] / (squares[0] + WORTH)
    harmless = lost <= np.sqrt(squares) + _NOTHING
    first = strata(np.array([1.0 - most]))[0]  # only a part of it may go in any case,
    harmless[first] &= harmless[first + 1]  # and what the other part would win makes up for nothing
    harmless[:first] = False
    return min(most, 1.0 - least_sure(int(harmless.argmax()))) if harmless.any() else 0.0


class Protected(Wrapped):
    """A `Learner` that is another one, but where zero-shot's answer stands.

    Args:
        protection: v of all classes.
        protect: v of single ones by name; those that the vocabulary lacks are passed over.
        chosen: labels are asked for by what pictures look like, and are weighted until they are as sure as the traffic.
    """

    def __init__(
        self,
        learner: Learner,
        classes: Classes,
        anchors: Anchors,
        protection: float,
        protect: Mapping[str, float],
        *,
        chosen: bool = False,
    ) -> None:
        super().__init__(learner)
        self._anchors = anchors
        self._protection, self._protect, self._chosen = protection, dict(protect), chosen
        settings = repr((protection, sorted(self._protect.items()), chosen))
        self._limits: tuple[tuple[str, str], Limits] | None = None
        self._without_labels: Limits | None = None
        self._level = 0
        self._known: Asked
        self._settings = hashlib.blake2b(settings.encode(), digest_size=4).hexdigest()
        self._use(classes)

    @property
    def limits(self) -> Limits:
        """What holds now."""
        of = self._anchors.digest, self._learner.version  # weights depend on the learner's directions
        if self._limits is None or self._limits[0] != of:
            anchors, keys = self._anchors, self._anchors.keys
            weights, n_classes = anchors.weights, len(self._classes)
            slots = np.arange(len(keys))
            if len(keys) > _MOST_ANCHORS:
                slots = np.argpartition(keys, _MOST_ANCHORS)[:_MOST_ANCHORS]
            sure, top = self._asked(slots)
            counts = np.bincount(anchors.classes, weights, minlength=n_classes).astype(np.float64)
            of_class, weights, standing = self._of_class * 2.0**self._level, weights[slots], self._learner.standing()
            if self._chosen and standing.sure is not None:
                weights = as_traffic(sure, weights, standing.sure)
            classes = anchors.classes[slots]
            moves, surest = standing.moves, standing.surest
            limits = Limits(of_class, counts, sure, top, classes, weights, moves, surest, self._level)
            self._limits = of, limits
        return self._limits[1]

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        """The learner's answer, or zero-shot's."""
        answer = self._learner.predict(vectors)
        held = self.limits.held(answer.zero_shot, answer.adapted)
        if answer.in_reach is not None:  # where labels change nothing, they do not say either what stands
            held = np.where(answer.in_reach, held, self._limits_without_labels.held(answer.zero_shot, answer.adapted))
        return replace(
            answer,
            undamped=np.where(held[:, None], answer.zero_shot, answer.undamped),
            adapted=np.where(held[:, None], answer.zero_shot, answer.adapted),
        )

    def follow(self, labels: Labels, records: Records) -> None:
        """See `Learner`; a record under `LEVEL_KEY` says how often the protection is doubled."""
        super().follow(labels, records)
        if LEVEL_KEY in records:
            self._level, self._limits, self._without_labels = level_of(records[LEVEL_KEY]), None, None

    def set_classes(self, classes: Classes, former: NDArray[np.int64]) -> None:
        """See `Learner`."""
        super().set_classes(classes, former)
        before, known = self._classes, self._known
        self._use(classes)
        same = np.where((classes.texts == before.texts[former]).all(axis=1), former, -1)
        if np.array_equal(same[same >= 0], np.arange(len(before))):  # classes were only added
            self._known = self._with_more(known, before, same)

    @property
    def version(self) -> str:
        """The protection, and the learner's."""
        return f"{self._settings}{f'{self._level:+d}' if self._level else ''}-{self._learner.version}"

    def _use(self, classes: Classes) -> None:
        self._classes = classes
        self._of_class = np.array([self._protect.get(name, self._protection) for name in classes.names])
        self._known = np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0)
        self._limits = self._without_labels = None

    @property
    def _limits_without_labels(self) -> Limits:
        if self._without_labels is None:
            of_class, nobody = self._of_class * 2.0**self._level, np.zeros(0, np.int64)
            sure, counts = np.zeros(0, np.float32), np.zeros(len(self._classes))
            self._without_labels = Limits(of_class, counts, sure, nobody, nobody, np.zeros(0), level=self._level)
        return self._without_labels

    def _asked(self, slots: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Of anchors in slots (m,) zero-shot's top probability and its class, remembered from one time to the next."""
        rows = self._anchors.rows[slots]
        sure, top, most = np.zeros(len(rows)), np.zeros(len(rows), np.int64), np.zeros(len(rows))
        _, here, there = np.intersect1d(rows, self._known[0], assume_unique=True, return_indices=True)
        for column, known in zip((sure, top, most), self._known[1:], strict=True):
            column[here] = known[there]
        new = np.setdiff1d(np.arange(len(rows)), here, assume_unique=True)
        if new.size:
            logits = self._classes.logit_scale * (self._anchors.vectors[slots[new]] @ self._classes.texts.T)
            top[new], most[new] = logits.argmax(axis=1), logits.max(axis=1)
            sure[new] = 1.0 / np.exp(logits - most[new, None]).sum(axis=1)
        self._known = rows, sure, top, most
        return sure.astype(np.float32), top

    def _with_more(self, known: Asked, before: Classes, same: NDArray[np.int64]) -> Asked:
        """The same over classes of which those that are −1 in int64 (C,) are new, all others as they were before."""
        rows, sure, top, most = known
        slots = self._anchors.slots_of(rows)
        here = slots >= 0
        rows, sure, top, most, slots = rows[here], sure[here], top[here], most[here], slots[here]
        new = np.flatnonzero(same < 0)
        logits = np.empty((len(rows), 1 + len(new)))
        logits[:, 0] = most
        logits[:, 1:] = before.logit_scale * (self._anchors.vectors @ self._classes.texts[new].T)[slots]
        more = np.exp(logits - most[:, None])  # in units of the top class's own
        best = logits.argmax(axis=1)
        sure = more.max(axis=1) / (1.0 / sure - 1.0 + more.sum(axis=1))
        top = np.where(best > 0, np.append(-1, new)[best], np.flatnonzero(same >= 0)[top])
        return rows, sure, top, logits.max(axis=1)
