"""An e-process for a change at an unknown time: a weighted mixture over all moments at which it may have begun.

Let f_n ≥ 0 be a bet with E[f_n | past] ≤ 1 while nothing has changed. The product of the bets from a start j on is a
test martingale, and so is the mixture over starts and over L different bets,

    M_n = Σ_l v_l Σ_j w_j Π_{i=j..n} f_i^l  +  Σ_{j>n} w_j ,      Σ_j w_j = Σ_l v_l = 1 .

By Ville's inequality P(M_n ≥ 1/α for any n, ever) ≤ α, however often it is looked at. The sum over starts needs no
list of starts: S_n = (S_{n-1} + v w_n) · f_n. This is the Shiryaev–Roberts recursion of e-detectors (Shin, Ramdas,
Rinaldo, *E-detectors: a nonparametric framework for sequential change detection*, NEJSDS 2024, arXiv 2203.03532), with
weights that sum to one: plain e-detectors bound the average run length (1/α events, far too few here), this bounds the
probability of ever raising a false alarm, and pays for it with the logarithm of the weight. Starts are offered at every
`block`-th value only, which costs little: the sum over neighbouring starts makes up for it.

The weights are a prior for the moment T of change, in values: P(T = 0) = 0.1, and P(T > t) = 0.9 / (1 + t / 10,000)
beyond. It is nearly flat over the first ten thousand values and falls so slowly that a change after a million costs
ln(10⁴) more evidence than one at the beginning.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.detector import State, Stateful

_AT_ONCE = 0.1
_HORIZON = 10_000


def restart_weight(start: int, block: int) -> float:
    """Prior weight w_k of the k-th possible start, k ≥ 1, which lies after (k − 1) · `block` values."""
    return _AT_ONCE if start == 1 else weight_left(start - 1, block) - weight_left(start, block)


def weight_left(start: int, block: int) -> float:
    """What is left for starts after the k-th: 0.9 / (1 + (k − 1) · block / 10,000)."""
    return (1.0 - _AT_ONCE) / (1.0 + (start - 1) * block / _HORIZON)


class RestartMixture(Stateful):
    """The e-process above, for one stream or for several at once.

    Attributes:
        path: float64 (B, ..., L), capital of each bet after each row of the last batch; the largest tells what changed.

    Args:
        bet_weights: float64 (L,), v, the bets' weights, which sum to one.
        block: values between two possible starts.
        streams: leading shape, () for a single stream.

    Example:
        >>> mixture = RestartMixture(np.ones(1), block=4)
        >>> path = mixture.advance(np.full((3, 1), 2.0))  # three bets that doubled what was put on them
        >>> [round(float(value), 3) for value in path]    # w_1 = 0.1 doubles, 0.9 is kept for later starts
        [1.1, 1.3, 1.7]
    """

    KEPT = ("observed", "_capital")

    def __init__(self, bet_weights: NDArray[np.float64], block: int, streams: tuple[int, ...] = ()) -> None:
        if block < 1 or abs(float(np.sum(bet_weights)) - 1.0) > 1e-9:
            raise ValueError(f"needs a value per block and weights that sum to one, got {block} and {bet_weights}")
        self.block = block
        self._bet_weights = np.asarray(bet_weights, dtype=np.float64)
        self.observed = 0
        self._capital = np.zeros((*streams, len(bet_weights)))
        self.path = self._capital[None]  # see above

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
            self._capital = self._capital + restart_weight(start, self.block) * self._bet_weights
        # One running product from the old capital on, so that the split into batches changes no bit.
        path = np.cumprod(np.concatenate([self._capital[None], factors]), axis=0)[1:]
        self.path, self._capital = path, path[-1]
        self.observed += len(factors)
        return np.asarray(path.sum(axis=-1) + weight_left(start, self.block))

    def reset(self) -> None:
        """Start anew: what was won is forgotten."""
        self.observed = 0
        self._capital = np.zeros_like(self._capital)
        self.path = self._capital[None]

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        super().restore(state)
        self.path = self._capital[None]
