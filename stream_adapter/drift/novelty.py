"""Is there more that no class of the vocabulary names? The rate of events that neither vocabulary nor anchors explain.

Two scores tell such an event: the maximum concept matching score is low (MCM; Ming, Cai, Gu, Sun, Li, Li, *Delving
into out-of-distribution detection with vision-language representations*, NeurIPS 2022, arXiv 2211.13445) and the
adapter's novelty is high: it is near to no anchor and no class is likely. They are added in units of their spread over
the reference window and ranked (see `conformal`), upwards only.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.conformal import ReferenceShift


def maximum_concept_matching(zero_shot: NDArray[np.float32], logit_scale: float) -> NDArray[np.float32]:
    """MCM: the largest softmax probability of cosines at temperature 1 (as published), which keeps them nearly flat.

    Cosines come back from probabilities up to a constant per event, which the softmax does not see.

    Args:
        zero_shot: float32 (B, C), softmax(logit_scale · cosine).
        logit_scale: the model's logit scale (100 for CLIP).

    Returns:
        float32 (B,), in (0, 1]; low where no class stands out.
    """
    cosines = np.log(np.maximum(zero_shot, np.finfo(np.float32).tiny)) / np.float32(logit_scale)
    weights = np.exp(cosines - cosines.max(axis=1, keepdims=True))
    return np.asarray(1.0 / weights.sum(axis=1), dtype=np.float32)


_LEAST_SPREAD = np.array([1e-7, 1e-2])


class NoveltyRate(ReferenceShift):
    """Alarms when events that nothing explains become more frequent.

    Novelty shrinks while anchors are added; that only makes it slower to alarm, never quicker.

    Memory: 2 R floats while the reference is taken, then one histogram of 34 bins.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> known = np.stack([rng.normal(0.8, 0.05, 1_500), rng.normal(0.2, 0.05, 1_500)], axis=1)
        >>> detector = NoveltyRate(reference=500, seed=1)
        >>> detector.observe(known)
        []
        >>> strange = np.stack([rng.normal(0.6, 0.05, 100), rng.normal(0.5, 0.05, 100)], axis=1)
        >>> detector.is_novel(strange).mean() > 0.9, detector.observe(strange)[0].row < 30
        (np.True_, True)
    """

    _both_tails = False

    def is_novel(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which events are beyond 99 % of the reference: bool (B,); none while the reference is being taken.

        Args:
            values: float (B, 2), MCM and the adapter's novelty.
        """
        if self._test is None:
            return np.zeros(len(values), dtype=np.bool_)
        scores = self._scores(np.asarray(values, dtype=np.float32), self._fitted)[:, 0]
        return np.asarray(scores > self._fitted["beyond"][0])

    def _fit(self, reference: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        fitted: dict[str, NDArray[Any]] = {
            "mean": reference.mean(axis=0, dtype=np.float64),
            # A column without spread (no anchors yet) must not decide everything once it moves.
            "spread": np.maximum(reference.std(axis=0, dtype=np.float64), _LEAST_SPREAD),
        }
        fitted["beyond"] = np.quantile(self._scores(reference, fitted)[:, 0], [0.99])
        return fitted

    def _scores(self, values: NDArray[np.float32], fitted: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        matching, novelty = ((values - fitted["mean"]) / fitted["spread"]).T
        return np.asarray(novelty - matching, dtype=np.float64)[:, None]
