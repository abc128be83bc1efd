"""The rule that one writes around a vector database: the nearest labelled vector's class if it is near enough.

    p = one-hot of the nearest anchor's class   where its cosine is above 0.9, else zero-shot

The rule is as sure of a neighbour as it can be, which its calibration shows.

Reference: the nearest neighbour rule with a reject option, Hellman, *The Nearest Neighbor Classification Rule with a
Reject Option*, IEEE Transactions on Systems Science and Cybernetics 6, 1970; what is rejected goes to zero-shot.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.methods.base import KeepsLabels, Probabilities, zero_shot_probabilities

NEAR = 0.9


class NearestOrZeroShot(KeepsLabels):
    """Keeps every labelled vector; a prediction costs O(n)."""

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """The nearest one's class, or zero-shot."""
        answer = zero_shot_probabilities(vectors, self._task)
        if len(self._memory):
            cosines = vectors @ self._memory.vectors.T  # (B, n)
            near = np.flatnonzero(cosines.max(axis=1) > NEAR)
            answer[near] = 0.0
            answer[near, self._memory.classes[cosines[near].argmax(axis=1)]] = 1.0
        return answer
