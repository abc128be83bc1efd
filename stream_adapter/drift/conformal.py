"""Conformal test martingales: has the distribution of some scores changed since the reference was taken?

Every new score is ranked among all earlier ones. While events are exchangeable the ranks, ties broken by a coin, are
independent and uniform, whatever the distribution; bets against uniformity multiply into a martingale (Vovk, Petej,
Nouretdinov, Ahlberg, Carlsson, Gammerman, *Retrain or not retrain: conformal test martingales for change-point
detection*, COPA 2021, arXiv 2102.10439). A two-sample test that compares with a finite reference directly is not valid
for ever: the reference's own sampling error becomes significant in the end. Ranks have no such error.

Scores are kept as counts in bins, so memory does not grow, and as ties are broken by a coin the binning costs
resolution but no validity. Bets are κ q^(κ−1) with q the rank from above or from below; they are averaged over scores
and combined over possible moments of change by `restarts`.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.detector import ALL, Signal, State, Stateful, pack, unpack
from stream_adapter.drift.restarts import RestartMixture

_EXPONENTS = np.array([0.2, 0.5, 0.8])
_SMALLEST = 1e-12  # a rank of exactly zero has probability zero, its bet would be infinite
_BLOCK = 64
_BINS = 32  # between the quantiles of a reference; one more on each side for what lies outside
_COINS = 16 * _BLOCK  # drawn at once


class ConformalTest(Stateful):
    """Bins in, evidence against exchangeability out, for one stream or for several at once.

    Args:
        n_scores: K, scores that are ranked each on its own.
        n_bins: bins per score, the highest bin holds the highest scores.
        both_tails: whether to bet on low scores too, not on high ones alone.
        streams: leading shape, () for a single stream.
    """

    KEPT = ("_histogram", "_mixture")

    def __init__(self, n_scores: int, n_bins: int, *, both_tails: bool = True, streams: tuple[int, ...] = ()) -> None:
        self._both_tails = both_tails
        self._histogram = np.zeros((*streams, n_scores, n_bins), dtype=np.int64)
        n_bets = n_scores * len(_EXPONENTS) * (1 + both_tails)
        self._mixture = RestartMixture(np.full(n_bets, 1.0 / n_bets), _BLOCK, streams)

    @property
    def observed(self) -> int:
        """Events ranked so far."""
        return self._mixture.observed

    @property
    def room(self) -> int:
        """How many events may be given to the next `advance`."""
        return self._mixture.room

    def advance(self, bins: NDArray[np.int64], uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rank events and bet.

        Args:
            bins: int (B, ..., K), the bin of each score; B ≤ `room`.
            uniforms: float64 (B, ..., K) in [0, 1), the coins for ties.

        Returns:
            float64 (B, ...), the e-process after each row.
        """
        ranks = self._ranks(bins, uniforms)  # (B, ..., K)
        tails = np.stack([ranks, 1.0 - ranks] if self._both_tails else [ranks], axis=-1).clip(_SMALLEST)
        # κ q^(κ−1), shape (B, ..., K, tails, exponents)
        factors = _EXPONENTS * np.exp((_EXPONENTS - 1.0) * np.log(tails)[..., None])
        return self._mixture.advance(factors.reshape(*bins.shape[:-1], -1))

    def winning_score(self, row: int) -> int:
        """For a single stream: the score whose bets held most capital after a row of the last batch."""
        per_score = self._mixture.path[row].reshape(self._histogram.shape[-2], -1).sum(axis=-1)
        return int(per_score.argmax())

    def _ranks(self, bins: NDArray[np.int64], uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """(#higher + u (#equal + 1)) / (n + 1) among all events before, those of the same batch included."""
        n_rows, n_bins = len(bins), self._histogram.shape[-1]
        flat = bins.reshape(n_rows, -1)  # (B, M), M rankings side by side
        rows, columns = np.arange(n_rows)[:, None], np.arange(flat.shape[1])
        counts = np.zeros((n_rows + 1, flat.shape[1], n_bins), dtype=np.int64)  # what each row adds to the histograms
        counts[0] = self._histogram.reshape(-1, n_bins)
        counts[rows + 1, columns, flat] = 1
        counts = counts.cumsum(axis=0)  # before each row, and after the last
        self._histogram = counts[-1].reshape(self._histogram.shape)
        equal = counts[rows, columns, flat]  # (B, M)
        higher = self.observed + rows - counts[:-1].cumsum(axis=2)[rows, columns, flat]
        ranks = (higher + uniforms.reshape(n_rows, -1) * (equal + 1)) / (self.observed + rows + 1)
        return np.asarray(ranks.reshape(bins.shape))


class ReferenceShift(ABC):
    """A detector that first takes a reference window, then tests whether what comes after it is exchangeable.

    The reference only decides what is looked at (maps, bin edges); ranks are taken among the events after it, which is
    what makes the guarantee exact: as long as events are exchangeable, P(alarm, ever) ≤ α. After a signal the next
    events become the new reference.

    Args:
        reference: R, events in the reference window; a multiple of 64 is a little cheaper.
        alpha: probability of ever raising a false alarm, until the first true one.
        seed: for random features, and the coins that break ties.
    """

    _both_tails = True  # whether low scores count as well as high ones

    def __init__(self, reference: int = 500, alpha: float = 0.01, seed: int = 0) -> None:
        if reference < 2 or not 0.0 < alpha < 1.0:
            raise ValueError(f"needs two reference events and alpha in (0, 1), got {reference} and {alpha}")
        self.reference = reference
        self._alpha = alpha
        self._seed = seed
        self._episode = 0
        self._reference: list[NDArray[np.float32]] = []
        self._fitted: dict[str, NDArray[Any]] = {}
        self._test: ConformalTest | None = None
        self._coins: tuple[int, NDArray[np.float64]] | None = None  # block, its coins

    @property
    def observed(self) -> int:
        """Events since the reference was complete."""
        return self._test.observed if self._test else 0

    @property
    def enough(self) -> bool:
        """Whether as many events as the reference has were tested."""
        return self.observed >= self.reference

    @abstractmethod
    def _fit(self, reference: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """What `_scores` needs, from the reference window (R, d)."""

    @abstractmethod
    def _scores(self, values: NDArray[np.float32], fitted: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Scores (B, K) of events (B, d)."""

    def _subject(self, score: int) -> int:
        """What a signal is about that `score` won."""
        return ALL

    def observe(self, values: NDArray[Any]) -> list[Signal]:
        """Take in events, float (B, d)."""
        signals: list[Signal] = []
        row = 0
        while row < len(values):
            if self._test is None:
                piece = np.asarray(values[row : row + self.reference - len(self._reference)], dtype=np.float32)
                self._reference.extend(piece.copy())
                if len(self._reference) == self.reference:
                    self._complete_reference()
                row += len(piece)
                continue
            piece = np.asarray(values[row : row + self._test.room], dtype=np.float32)
            before = self._test.observed
            # The bin of each score, int (B, K): 0 below the reference's range, the last one above it.
            bins = (self._scores(piece, self._fitted)[:, :, None] >= self._fitted["edges"]).sum(axis=2, dtype=np.int64)
            path = self._test.advance(bins, self._coins_for(before, bins.shape))
            over = np.flatnonzero(path >= 1.0 / self._alpha)
            used = int(over[0]) + 1 if len(over) else len(piece)
            if len(over):
                score = self._test.winning_score(used - 1)
                signals.append(
                    Signal(
                        row=row + used - 1,
                        observed=before + used,
                        e_value=float(path[used - 1]),
                        subject=self._subject(score),
                        details={"score": float(score)},
                    )
                )
                self.begin_anew()
            row += used
        return signals

    def begin_anew(self) -> None:
        """The values mean something else from now on: the next ones are the reference."""
        self._reference, self._fitted, self._test = [], {}, None
        self._episode += 1

    def state(self) -> State:
        """Everything needed to go on."""
        return {
            "episode": self._episode,
            "reference": pack(np.array(self._reference, dtype=np.float32)),
            "fitted": {name: pack(array) for name, array in self._fitted.items()},
            "test": self._test.state() if self._test else None,
        }

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self._episode = int(state["episode"])
        self._reference = list(unpack(state["reference"]))
        self._fitted = {name: unpack(packed) for name, packed in state["fitted"].items()}
        self._test, self._coins = None, None
        if state["test"] is not None:
            self._test = self._new_test()
            self._test.restore(state["test"])

    def _complete_reference(self) -> None:
        reference = np.stack(self._reference)  # (R, d)
        self._fitted = self._fit(reference)
        scores = self._scores(reference, self._fitted)  # (R, K)
        self._fitted["edges"] = np.quantile(scores, np.linspace(0.0, 1.0, _BINS + 1), axis=0).T  # (K, bins + 1)
        self._reference = []
        self._test = self._new_test()
        self._coins = None

    def _new_test(self) -> ConformalTest:
        n_scores, n_edges = self._fitted["edges"].shape
        return ConformalTest(n_scores, n_edges + 1, both_tails=self._both_tails)

    def _coins_for(self, observed: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Coins of the next rows: a function of seed, episode and place, so the split into batches changes none."""
        block, offset = divmod(observed, _COINS)  # a multiple of _BLOCK, which no batch crosses
        if self._coins is None or self._coins[0] != block:
            coins = np.random.default_rng([self._seed, self._episode, block]).random((_COINS, shape[1]))
            self._coins = (block, coins)
        return self._coins[1][offset : offset + shape[0]]
