"""Labels that are asked for as a stream goes: whoever answers is asked about what tells the method most."""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.asking import doubt_of, most_telling
from stream_adapter.evaluate.methods import Batch

_POOL = 1_000


class Asking:
    """Chooses among the newest 1,000 events, by what was said when they came.

    It asks as often as `least-confident` does on a stream in no order: rate · n and about ln n more of the first n.

    Args:
        rate: share of the events that somebody is asked about.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._seen, self._may_ask, self._asked = 0, 0.0, 0
        self._vectors = np.zeros((0, 0), np.float32)  # (n, d)
        self._ids, self._doubt = np.zeros(0, np.int64), np.zeros(0, np.float32)  # (n,)
        self._open = np.zeros(0, np.bool_)  # (n,), not asked about yet
        self._labelled: list[NDArray[np.float32]] = []

    def ask(self, batch: Batch, probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
        """Whom to ask about now that this batch was predicted.

        Args:
            batch: B events.
            probabilities: float32 (B, C), what was said.

        Returns:
            int64 (n,), ids of events of this batch or an earlier one, each at most once.
        """
        earlier = self._vectors.reshape(-1, batch.vectors.shape[1])
        self._vectors = np.concatenate([earlier, batch.vectors])[-_POOL:]
        self._ids = np.concatenate([self._ids, batch.ids])[-_POOL:]
        self._doubt = np.concatenate([self._doubt, doubt_of(probabilities.max(axis=1))])[-_POOL:]
        self._open = np.concatenate([self._open, np.ones(len(batch.ids), np.bool_)])[-_POOL:]
        for _ in batch.ids.tolist():
            self._may_ask += (int(self._rate * self._seen) + 1) / (self._seen + 1) if self._rate else 0.0
            self._seen += 1
        number = int(self._may_ask) - self._asked
        labelled = np.array(self._labelled, np.float32).reshape(-1, batch.vectors.shape[1])
        rows = (
            most_telling(self._vectors, self._doubt, labelled, number, self._open) if number else np.zeros(0, np.int64)
        )
        self._open[rows] = False
        self._asked += len(rows)
        self._labelled.extend(self._vectors[rows])
        return self._ids[rows]
