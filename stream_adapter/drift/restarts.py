"""An e-process for a change at an unknown time: a weighted mixture over all moments at which it may have begun.

Let f_n ≥ 0 be a bet with E[f_n | past] ≤ 1 while nothing has changed. The product of the bets from a start j on is a
test martingale, and so is the mixture over starts and over L different bets,

    M_n = (1/L) Σ_l Σ_j w_j Π_{i=j..n} f_i^l  +  Σ_{j>n} w_j ,      Σ_j w_j = 1 .

By Ville's inequality P(M_n ≥ 1/α for any n, ever) ≤ α, however often it is looked at. The sum over starts needs no
list of starts: S_n = (S_{n-1} + w_n) · f_n. This is the Shiryaev–Roberts recursion of e-detectors (Shin, Ramdas,
Rinaldo, *E-detectors: a nonparametric framework for sequential change detection*, NEJSDS 2024, arXiv 2203.03532), with
weights that sum to one: plain e-detectors bound the average run length (1/α events, far too few here), this bounds the
probability of ever raising a false alarm, and pays for it with 2 ln ln n + ln n more evidence for a change after n
starts. Starts are therefore offered at every `block`-th value only.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.detector import State, pack, unpack


def restart_weight(start: int) -> float:
    """Prior weight w_k of the k-th possible start, k ≥ 1: 1/log2(k + 1) − 1/log2(k + 2); they sum to one."""
    return float(1.0 / np.log2(start + 1.0) - 1.0 / np.log2(start + 2.0))


def weight_left(start: int) -> float:
    """What is left for starts after the k-th: 1/log2(k + 2)."""
    return float(1.0 / np.log2(start + 2.0))


class RestartMixture:
    """The e-process above, for one stream or for several at once.

    Args:
        n_bets: L, bets that are averaged.
        block: values between two possible starts.
        streams: leading shape, () for a single stream.

    Example:
        >>> mixture = RestartMixture(n_bets=1, block=4)
        >>> path = mixture.advance(np.full((3, 1), 2.0))  # three bets that doubled what was put on them
        >>> [round(float(value), 3) for value in path]    # w_1 = 0.369 doubles, 0.631 is kept for later starts
        [1.369, 2.107, 3.583]
    """

    def __init__(self, n_bets: int, block: int, streams: tuple[int, ...] = ()) -> None:
        if n_bets < 1 or block < 1:
            raise ValueError(f"needs at least one bet and one value per block, got {n_bets} and {block}")
        self.block = block
        self.observed = 0
        self._capital = np.zeros((*streams, n_bets))
        self._path = self._capital[None]  # after each row of the last batch

    @property
    def room(self) -> int:
        """How many values may be given to the next `advance`: those before the next possible start."""
        return self.block - self.observed % self.block

    def advance(self, factors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take in the bets' outcomes.

        Args:
            factors: float64 (B, ..., L), non-negative, expectation at most 1 while nothing has changed; B ≤ `room`.

        Returns:
            float64 (B, ...), M_n after each row.
        """
        if len(factors) > self.room:
            raise ValueError(f"got {len(factors)} rows, the next possible start is after {self.room}")
        start = self.observed // self.block + 1
        if self.observed % self.block == 0:
            self._capital = self._capital + restart_weight(start)
        # One running product from the old capital on, so that the split into batches changes no bit.
        path = np.cumprod(np.concatenate([self._capital[None], factors]), axis=0)[1:]
        self._path, self._capital = path, path[-1]
        self.observed += len(factors)
        return np.asarray(path.mean(axis=-1) + weight_left(start))

    def capital_after(self, row: int) -> NDArray[np.float64]:
        """Float64 (..., L): capital of each bet after a row of the last batch; the largest tells what has changed."""
        return np.asarray(self._path[row]).copy()

    def reset(self) -> None:
        """Start anew: what was won is forgotten."""
        self.observed = 0
        self._capital = np.zeros_like(self._capital)
        self._path = self._capital[None]

    def state(self) -> State:
        """Everything needed to go on."""
        return {"observed": self.observed, "capital": pack(self._capital)}

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self.observed = int(state["observed"])
        self._capital = unpack(state["capital"])
        self._path = self._capital[None]
