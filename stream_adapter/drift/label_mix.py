"""Has the mix of classes changed? Ranks of the zero-shot probability of the reference's most frequent classes.

A class that becomes more frequent has more events on which its probability is high, one that becomes rare has fewer; no
label is needed. The classes are those that carry most probability in the reference window; a class that was absent from
it is the business of `new_class`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.conformal import ReferenceShift

_WATCHED = 8  # of the reference's most frequent classes


class LabelMixShift(ReferenceShift):
    """Alarms when the shares of classes in the traffic have changed; the signal's subject is the class.

    Memory: R C floats while the reference is taken, then a histogram of 34 bins for each of the classes watched.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> beliefs = lambda shares, n: np.eye(3)[rng.choice(3, n, p=shares)] * 0.9 + rng.random((n, 3)) * 0.1
        >>> detector = LabelMixShift(reference=200, seed=1)
        >>> detector.observe(beliefs([0.6, 0.3, 0.1], 1_000))
        []
        >>> [signal.row < 200 for signal in detector.observe(beliefs([0.2, 0.2, 0.6], 300))][:1]
        [True]
    """

    def _fit(self, reference: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        frequent = np.argsort(-reference.mean(axis=0), kind="stable")[:_WATCHED]
        return {"classes": frequent.astype(np.int64)}

    def _scores(self, values: NDArray[np.float32], fitted: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        return values[:, fitted["classes"]].astype(np.float64)

    def _subject(self, score: int) -> int:
        return int(self._fitted["classes"][score])
