"""Names classes of the vocabulary that turn up in the traffic although nobody labelled them: dormant → present.

**Score.** An event speaks for class c as strongly as zero-shot prefers c to all known classes together,

    s_ic = ln p0_ic − ln Σ_{k known} p0_ik ,

and only where s_ic ≥ 0. Names that are never in the traffic take their part of p0 from everybody and say nothing about
c, so they are left out; a painted person to whom zero-shot gives 0.05, with 0.6 for "wall-panel" and 0.01 for all known
classes together, speaks for "person" as clearly as a confident event does.

**Test.** A class that turns up now has its strongest events now. While traffic is exchangeable, the ranks of the scores
say nothing about time: of the k strongest events of all n, the number u that came among the newest w without a label is
hypergeometric, at most as heavy-tailed as Binomial(k, r) with r = (1 − l) w / n (Hoeffding 1963). Labelled events are
known not to be c and count among the others; l is the labelled share of all events, or of those that speak for any
unknown class where that is less, since people may label some kinds of events more often than others. So

    p = P(Binomial(k, r) ≥ u) ,   named where   p ≤ α · 2^−(k − u) · (w / n) / (3 m)

for one of three windows w and one k. α is shared by the windows of each length so far (n / w), by the three lengths,
and by the m classes that have four events with s ≥ 0 at all, the others being left out (Tarone, *A modified Bonferroni
method for discrete data*, Biometrics 46, 1990); a k with b = k − u foreign events among its strongest gets 2^−b of it.
No threshold is fitted to data. What the test is not: valid for ever. Windows overlap and are looked at as
they fill, and a test by betting that would hold at all times costs more evidence than the ten events there are;
benchmarks/drift_study.py measures how often it names a class that is not there. A change of all pictures at once also
names what they are newly confused with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.detector import Stateful, moved
from stream_adapter.drift.strongest import StrongestEvents

_LARGEST = 64
_COEFFICIENTS = np.array([[comb(k, j) for j in range(_LARGEST + 1)] for k in range(_LARGEST + 1)], dtype=np.float64)

_WINDOWS = (128, 256, 512)
_LEAST_EVENTS = 1_000  # of history, before anything is named
_TESTABLE = 4  # events, without which a class is not tested and takes no part of α
_KEPT = 16  # strongest events per class
_ROWS = 512  # taken in at once
_DOUBT = 10  # unlabelled events beside those seen, so that a few labels do not decide the share l


@dataclass(frozen=True, slots=True)
class NamedClass:
    """A class that turned up.

    Attributes:
        row: row of the batch that completed the evidence.
        events: events that the comparison rests on, n.
        labels: labelled events among the newest w.
        window: w, events in which it turned up.
        witnesses: u, different events of the window that speak for it.
        share: (u − 1) / w, an estimate of its share of the traffic; one is taken off because counting stopped at a
            witness.
        p_value: p as above; its threshold was 0.01 shared by windows and classes.
        event_ids: the witnesses, newest last.
    """

    index: int
    row: int
    events: int
    labels: int
    window: int
    witnesses: int
    share: float
    p_value: float
    event_ids: tuple[str, ...]


class NewClassNamer(Stateful):
    """Names each class once, and again only after it had anchors in between.

    Memory: 2 × 16 events per class (17 bytes each) and the ids of the newest 1,024 events.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> known = np.array([True, True, False])
        >>> beliefs = lambda tops: 0.8 * np.eye(3)[tops] + 0.2 * rng.dirichlet([9, 9, 1], len(tops))
        >>> namer = NewClassNamer(n_classes=3)
        >>> labelled, ids = np.arange(2_000) % 3 == 0, [str(number) for number in range(2_000)]
        >>> namer.observe(beliefs(rng.integers(0, 2, 2_000)), labelled, known, ids)
        []
        >>> tops = np.where(np.arange(300) % 40 == 0, 2, 0)  # every fortieth event is of class 2
        >>> (named,) = namer.observe(beliefs(tops), (tops == 0) & labelled[:300], known, ids[:300])
        >>> named.index, named.event_ids
        (2, ('0', '40', '80', '120'))
    """

    KEPT = ("_seen", "_strongest", "_named", "_unlabelled_before", "_ids", "_speaking")

    def __init__(self, n_classes: int, alpha: float = 0.01) -> None:
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha must be in (0, 1), got {alpha}")
        self._alpha = alpha
        self._seen = 0
        self._strongest = StrongestEvents(n_classes, _KEPT)
        self._named = np.zeros(n_classes, dtype=np.bool_)
        # Unlabelled events before the newest ones, by number: a window's count is a difference of two.
        self._unlabelled_before = np.zeros(_WINDOWS[-1] + _ROWS + 1, dtype=np.int64)
        self._ids = [""] * (_WINDOWS[-1] + _ROWS)
        # Events that spoke for any unknown class, how many of them had a label, and how many of all.
        self._speaking = np.array([_DOUBT, 0, 0], dtype=np.int64)

    @property
    def named(self) -> NDArray[np.bool_]:
        """Bool (C,): the classes that were named and have no anchors yet."""
        return self._named.copy()

    @property
    def observed(self) -> int:
        """Events that can be compared; fewer than were seen where the known classes changed."""
        return self._seen - self._strongest.since

    @property
    def enough(self) -> bool:
        """Whether there are events enough to compare with."""
        return self.observed >= _LEAST_EVENTS

    def observe(
        self,
        zero_shot: NDArray[np.float32],
        labelled: NDArray[np.bool_],
        known: NDArray[np.bool_],
        event_ids: Sequence[str],
    ) -> list[NamedClass]:
        """Take in all events of a batch.

        Args:
            zero_shot: float (B, C), probabilities of the untouched model.
            labelled: bool (B,), whether the event has a label (which is one of a known class).
            known: bool (C,), classes that have anchors or are declared canaries.
            event_ids: B ids.
        """
        found: list[NamedClass] = []
        for start in range(0, len(labelled), _ROWS):
            rows = slice(start, start + _ROWS)
            fresh = self._observe_rows(zero_shot[rows], labelled[rows], known, event_ids[rows])
            found += [replace(named, row=start + named.row) for named in fresh]
        return found

    def set_classes(self, former: NDArray[np.int64]) -> None:
        """Go over to other classes: int64 (C,), the former one of each or −1."""
        self._strongest.set_classes(former)
        self._named = moved(self._named, former, False)

    def _observe_rows(
        self,
        zero_shot: NDArray[np.float32],
        labelled: NDArray[np.bool_],
        known: NDArray[np.bool_],
        event_ids: Sequence[str],
    ) -> list[NamedClass]:
        self._named &= ~known
        first = self._seen
        self._strongest.compare_with(known, first)
        ring = len(self._unlabelled_before)
        numbers = first + np.arange(len(labelled))  # (B,)
        self._unlabelled_before[(numbers + 1) % ring] = self._unlabelled_before[first % ring] + np.cumsum(~labelled)
        for number, event_id in zip(numbers.tolist(), event_ids, strict=True):
            self._ids[number % len(self._ids)] = event_id

        mass = np.maximum(zero_shot @ known.astype(zero_shot.dtype), np.finfo(np.float32).tiny)  # (B,)
        rows, classes = np.nonzero((zero_shot > mass[:, None]) & ~known)  # what speaks for an unknown class at all
        speaking = np.zeros(len(labelled), dtype=np.bool_)
        speaking[rows] = True
        spoke = (
            self._speaking + np.cumsum([speaking, speaking & labelled, labelled], axis=1).T
        )  # (B, 3), after each row
        scores = np.log(zero_shot[rows, classes] / mass[rows])
        strong = np.flatnonzero(scores > self._strongest.to_beat[classes])
        rows, classes, scores = rows[strong], classes[strong], scores[strong]
        found: list[NamedClass] = []
        for at in np.lexsort((-scores, rows)).tolist():  # an event's strongest class first
            row, index = int(rows[at]), int(classes[at])
            self._seen, self._speaking = first + row + 1, spoke[row]
            fresh = self._strongest.offer(index, float(scores[at]), first + row, bool(labelled[row]))
            if fresh and not labelled[row] and not self._named[index] and self.enough:
                found += self._test(index, row, known)
        self._seen, self._speaking = first + len(labelled), spoke[-1]
        return found

    def _test(self, index: int, row: int, known: NDArray[np.bool_]) -> list[NamedClass]:
        """Compare class `index` as of now, shortest window first."""
        numbers, of_labelled = self._strongest.of(index)  # (K,), strongest first
        if len(numbers) < _TESTABLE:
            return []
        ring = len(self._unlabelled_before)
        n = self.observed
        speaking, speaking_labelled, labelled = self._speaking.tolist()
        share_labelled = min(speaking_labelled / speaking, labelled / self._seen)  # l
        shared = 0.0
        for window in _WINDOWS:
            recent = numbers >= self._seen - window
            witnesses = np.cumsum(recent & ~of_labelled, dtype=np.int64)  # u for k = 1 .. K
            if witnesses[-1] < _TESTABLE:
                continue
            unlabelled = int(
                self._unlabelled_before[self._seen % ring] - self._unlabelled_before[(self._seen - window) % ring]
            )
            ratio = (1.0 - share_labelled) * window / n
            testable = int((self._strongest.counts >= _TESTABLE)[~known].sum())  # the m of the module's description
            shared = shared or self._alpha / (len(_WINDOWS) * max(testable, 1))
            level = shared * window / n
            # The least that p can be, at no cost: nothing to see in most cases.
            if witnesses[-1] * np.log(ratio) + len(numbers) * np.log1p(-ratio) > np.log(level):
                continue
            foreign = np.arange(1, len(numbers) + 1) - witnesses  # k − u
            p_values = binomial_tails(witnesses, ratio)
            proven = np.flatnonzero((p_values <= level * 0.5**foreign) & (witnesses >= _TESTABLE))
            if not len(proven):
                continue
            k = int(proven[0])
            explained = int((recent & of_labelled).sum()) * (1.0 - share_labelled)
            if explained > 0.5 * share_labelled * witnesses[-1]:
                continue  # half of it or more is what labelled events, too, are taken for: a confusion that is new
            ids = [self._ids[int(n) % len(self._ids)] for n in np.sort(numbers[recent & ~of_labelled])]
            self._named[index] = True
            self._strongest.claim(index)
            u = int(witnesses[-1])
            return [
                NamedClass(
                    index, row, n, window - unlabelled, window, u, (u - 1) / window, float(p_values[k]), tuple(ids)
                )
            ]
        return []


def binomial_tails(counts: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """P(Binomial(k, share) ≥ counts[k − 1]) for k = 1 .. K ≤ 64, float64 (K,).

    Args:
        counts: int (K,).
        share: success probability, in [0, 1].

    Example:
        >>> binomial_tails(np.array([1, 2, 2]), 0.5).tolist()
        [0.5, 0.25, 0.5]
    """
    n_trials = np.arange(1, len(counts) + 1)[:, None]  # (K, 1)
    successes = np.arange(len(counts) + 1)  # (K + 1,)
    failures = np.maximum(n_trials - successes, 0)  # (K, K + 1); beyond k the coefficient is zero
    terms = _COEFFICIENTS[1 : len(counts) + 1, : len(counts) + 1] * share**successes * (1.0 - share) ** failures
    return np.asarray((terms * (successes >= counts[:, None])).sum(axis=1))
