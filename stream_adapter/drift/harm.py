"""Does the adapter harm a group of events? A sequential test on paired differences, restarted all the time.

For each labelled event d = 1[adapted right] − 1[zero-shot right]. "No worse than ε" means E[d | past] ≥ −ε. The bets
are those of `confidence_sequence` at m = −ε, combined over all moments at which the harm may have begun by `restarts`,
so a change late in a long stream is not diluted by what came before. Guarantee: as long as the adapter is no worse
than ε, P(alarm, ever) ≤ α, looked at after every event; no assumption but the one on the conditional mean (labels may
come late, classes may change, events need not be independent).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.confidence_sequence import Interval, interval, upper_bound
from stream_adapter.drift.detector import Signal, Stateful
from stream_adapter.drift.restarts import RestartMixture, restart_weight

START_EVERY = 64
"""Labels between two moments at which harm may begin, as far as the test is concerned."""

BETS: NDArray[np.float64] = np.array([0.05, 0.25, 0.75])
"""Fractions of the largest safe bet. Best is (harm − ε) / (share of discordant pairs): 0.8 to 0.25 for 5 points of harm
at 5 to 15 % discordant pairs; the small one is for lesser harm. Fewer than the confidence sequence has: each costs."""

BET_WEIGHTS: NDArray[np.float64] = np.array([0.1, 0.65, 0.25])

_MAX_STARTS = 128


def harm_factors(differences: NDArray[Any], tolerance: float) -> NDArray[np.float64]:
    """The bets' outcomes, float64 (B, ..., L), for differences in {−1, 0, 1} of shape (B, ...)."""
    shortfall = (-tolerance - differences[..., None]) / (1.0 + tolerance)
    return np.asarray(1.0 + BETS * shortfall)


class HarmDetector(Stateful):
    """Alarms when the adapted model is proven worse than zero-shot by more than the tolerance.

    Memory: 128 possible starts and 3 bets, 5 kB, whatever the stream's length.

    Args:
        tolerance: ε, the harm that is accepted, as a share (0.01 = one point of accuracy).
        alpha: probability of ever raising a false alarm, until the first true one.
        min_labels: differences before `enough` is true.

    Example:
        >>> detector = HarmDetector(tolerance=0.01, alpha=0.01)
        >>> calm = np.tile([0, 0, 0, 1, -1], 100)
        >>> detector.observe(calm)
        []
        >>> [signal.row for signal in detector.observe(np.tile([-1, 0, 0, 0], 50))]
        [96, 160]
    """

    KEPT = ("_mixture", "_counts", "_starts")

    def __init__(self, tolerance: float = 0.01, alpha: float = 0.01, min_labels: int = 50) -> None:
        if not 0.0 <= tolerance < 1.0 or not 0.0 < alpha < 1.0:
            raise ValueError(f"tolerance must be in [0, 1) and alpha in (0, 1), got {tolerance} and {alpha}")
        self._tolerance = tolerance
        self._alpha = alpha
        self._min_labels = min_labels
        self._mixture = RestartMixture(BET_WEIGHTS, START_EVERY)
        self._counts = np.zeros(3, dtype=np.int64)  # losses, ties, wins
        self._starts: list[Sequence[int]] = []  # number of the start, counts before it

    @property
    def observed(self) -> int:
        """Differences since the start, or since the last alarm."""
        return self._mixture.observed

    @property
    def enough(self) -> bool:
        """Whether there are at least `min_labels` differences."""
        return self.observed >= self._min_labels

    def observe(self, values: NDArray[Any]) -> list[Signal]:
        """Take in differences, int (B,), each −1, 0 or 1, in the order in which their labels came.

        Raises:
            ValueError: another value.
        """
        values = np.asarray(values)
        if ((values != 0) & (np.abs(values) != 1)).any():
            raise ValueError(f"paired differences are -1, 0 or 1, got {np.setdiff1d(values, (-1, 0, 1))[:5]}")
        signals: list[Signal] = []
        row = 0
        while row < len(values):
            self._offer_start()
            piece = values[row : row + self._mixture.room]
            path = self._mixture.advance(harm_factors(piece, self._tolerance))
            over = np.flatnonzero(path >= 1.0 / self._alpha)
            used = int(over[0]) + 1 if len(over) else len(piece)
            self._counts += [np.count_nonzero(piece[:used] == value) for value in (-1, 0, 1)]
            if len(over):
                self._mixture.observed += used - len(piece)
                signals.append(self._signal(row + used - 1, float(path[used - 1])))
                self.reset()
            row += used
        return signals

    def interval(self) -> Interval | None:
        """The mean difference since the start or the last alarm; None where labels are too few."""
        if not self.enough:
            return None
        losses, ties, wins = (int(count) for count in self._counts)
        return interval(losses, ties, wins, self._alpha)

    @property
    def mean(self) -> float | None:
        """Adapted minus zero-shot accuracy since the start or the last alarm; None where labels are too few."""
        return float(self._counts[2] - self._counts[0]) / self.observed if self.enough else None

    def reset(self) -> None:
        """Start a new episode, as when the adapter's damping was changed: it is another adapter now."""
        self._mixture.reset()
        self._counts[:] = 0
        self._starts.clear()

    def _offer_start(self) -> None:
        if self._mixture.observed % START_EVERY:
            return
        losses, ties, wins = (int(count) for count in self._counts)
        self._starts.append((self._mixture.observed // START_EVERY + 1, losses, ties, wins))
        if len(self._starts) > _MAX_STARTS:  # recent starts densely, old ones ever more sparsely
            half = _MAX_STARTS // 2
            self._starts = self._starts[:half:2] + self._starts[half:]

    def _signal(self, row: int, e_value: float) -> Signal:
        """The proof, with the stretch of the stream that shows the harm best and its interval.

        Each start k has its own sequence at level α w_k, so all of them hold at once with probability 1 − α.
        """
        starts = np.array(self._starts)  # (J, 4)
        weights = np.array([restart_weight(int(k), START_EVERY) for k in starts[:, 0]])
        losses, ties, wins = (self._counts - starts[:, 1:]).T  # each (J,)
        highs = upper_bound(losses, ties, wins, self._alpha * weights)
        best = int(highs.argmin())
        since = int(losses[best] + ties[best] + wins[best])
        low = -float(upper_bound(wins[best], ties[best], losses[best], self._alpha * weights[best]))
        return Signal(
            row=row,
            observed=self.observed,
            since=since,
            e_value=e_value,
            # The mixture itself has excluded "no worse than ε", also where no single start does so alone.
            interval=Interval(low, min(float(highs[best]), -self._tolerance), 1.0 - self._alpha),
            details={
                "difference": float(wins[best] - losses[best]) / since,
                "losses": float(losses[best]),
                "wins": float(wins[best]),
            },
        )
