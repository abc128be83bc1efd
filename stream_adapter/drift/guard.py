"""Acts on proven harm: damps the update where it does harm, and lets go slowly.

An unseen class c can only be harmed on events that zero-shot gives to c (elsewhere zero-shot is wrong already). So the
damping g is one number per class, applied to the events whose zero-shot top class it is:

    p = p0 + g[top(p0)] · (p_adapted − p0) .

With g[c] = 0 the harm on c is gone exactly, and labelled classes lose only the corrections of events that zero-shot
takes for c. That is scope "classes". Scope "overall" lowers one g for all events by halves, for adapters whose fault
cannot be laid on classes.

It does not oscillate. g is lowered only on a proof of harm, raised only after `hold` labels in which the *undamped*
update (known from the same labels) was no worse than ε, and every time a release turns out wrong the next one waits
twice as long. In N labels a damping is therefore lowered again at most log2(N / hold) + 1 times.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.alarm import Step
from stream_adapter.drift.detector import ALL, State, numbers_now

Mode = Literal["act", "alarm_only"]
Scope = Literal["classes", "overall"]
_STEP = 0.25  # by how much a release raises a damping
_LOWEST = 0.2  # below this an overall damping is taken to zero: what is left of the update is not worth its risk


@dataclass(slots=True)
class _Damping:
    level: float
    hold: int
    labels: int = 0
    net: int = 0
    released: bool = False  # whether it was raised since it was last lowered


class Guard:
    """Keeps the dampings.

    Memory: five numbers per damped class.

    Args:
        n_classes: C.
        mode: "alarm_only" decides nothing, ever.
        scope: what is damped.
        tolerance: ε, the harm that is accepted, as a share.
        hold: labels without harm before a step of release.

    Example:
        >>> guard = Guard(n_classes=3, hold=100)
        >>> guard.lower([2], labels=40, difference=-0.3, row=0)[0].after
        0.0
        >>> guard.damping.tolist()
        [1.0, 1.0, 0.0]
        >>> zero_shot = np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]], dtype=np.float32)
        >>> adapted = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], dtype=np.float32)
        >>> guard.damp(zero_shot, adapted).argmax(axis=1)  # class 2 is protected, class 0 is not damped
        array([2, 1])
        >>> [action.after for action in guard.observe(np.full(250, 2), np.zeros(250, dtype=np.int64))]
        [0.25, 0.5]
    """

    def __init__(
        self,
        n_classes: int,
        *,
        mode: Mode = "act",
        scope: Scope = "classes",
        tolerance: float = 0.01,
        hold: int = 500,
    ) -> None:
        if hold < 1:
            raise ValueError(f"hold must be at least one label, got {hold}")
        self._n_classes = n_classes
        self._mode = mode
        self._scope = scope
        self._tolerance = tolerance
        self._hold = hold
        self._dampings: dict[int, _Damping] = {}

    @property
    def damping(self) -> NDArray[np.float32]:
        """Float32 (C,): g for events whose zero-shot top class it is; 1 where nothing is damped."""
        levels = np.ones(self._n_classes, dtype=np.float32)
        for subject, damping in self._dampings.items():
            if subject == ALL:
                levels *= np.float32(damping.level)
            else:
                levels[subject] *= np.float32(damping.level)
        return levels

    def damp(self, zero_shot: NDArray[np.float32], adapted: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (B, C) after damping: float32, rows sum to one as the inputs' do."""
        if not self._dampings:
            return adapted
        levels = self.damping[zero_shot.argmax(axis=1)][:, None]
        return np.asarray(zero_shot + levels * (adapted - zero_shot), dtype=np.float32)

    def lower(self, classes: Sequence[int], *, labels: int, difference: float, row: int) -> list[Step]:
        """Harm was proven.

        Args:
            classes: those at fault, at least one.
            labels: labels that the proof rests on.
            difference: accuracy of what was published minus zero-shot on them.
            row: row of the batch that completed the proof.
        """
        if self._mode == "alarm_only":
            return []
        actions = []
        for subject in [ALL] if self._scope == "overall" else classes:
            damping = self._dampings.setdefault(subject, _Damping(1.0, self._hold))
            if damping.released:
                damping.hold *= 2
            before = damping.level
            half = before / 2.0
            damping.level = half if subject == ALL and half >= _LOWEST else 0.0
            damping.labels, damping.net, damping.released = 0, 0, False
            if damping.level < before:
                actions.append(Step("lowered", before, damping.level, labels, difference, row, subject))
        return actions

    def observe(self, labels: NDArray[np.int64], undamped: NDArray[np.int64]) -> list[Step]:
        """Take in labelled events of unseen classes, and release what has proven harmless.

        Args:
            labels: int (T,), true classes.
            undamped: int (T,), 1[adapted without damping right] − 1[zero-shot right].
        """
        actions = []
        for row, (label, difference) in enumerate(zip(labels.tolist(), undamped.tolist(), strict=True)):
            for subject in (ALL, label):
                damping = self._dampings.get(subject)
                if damping is None:
                    continue
                damping.labels += 1
                damping.net += difference
                if damping.labels >= damping.hold:
                    actions += self._release(subject, damping, row)
        return actions

    def forget(self, classes: Sequence[int]) -> None:
        """These classes have anchors now: they are no longer unseen, and their damping has no meaning."""
        for index in classes:
            self._dampings.pop(index, None)

    def set_classes(self, former: NDArray[np.int64]) -> None:
        """Go over to other classes: int64 (C,), the former one of each or −1."""
        self._n_classes, now = len(former), {ALL: ALL, **numbers_now(former)}
        self._dampings = {now[subject]: of for subject, of in self._dampings.items() if subject in now}

    def state(self) -> State:
        """Everything needed to go on."""
        return {str(subject): list(astuple(damping)) for subject, damping in self._dampings.items()}

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self._dampings = {int(subject): _Damping(*damping) for subject, damping in state.items()}

    def _release(self, subject: int, damping: _Damping, row: int) -> list[Step]:
        labels, difference = damping.labels, damping.net / damping.labels
        damping.labels, damping.net = 0, 0
        if damping.level >= 1.0 or difference < -self._tolerance:
            return []
        before, damping.level = damping.level, min(1.0, damping.level + _STEP)
        damping.released = True
        return [Step("raised", before, damping.level, labels, difference, row, subject)]
