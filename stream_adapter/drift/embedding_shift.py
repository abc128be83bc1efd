"""Have the pictures changed? A kernel test of the image vectors against a reference window.

The scores that are ranked (see `conformal`) come from the Gaussian kernel's mean embedding of the reference, in random
Fourier features (Rahimi, Recht, *Random features for large-scale kernel machines*, NIPS 2007): the witness function of
the kernel two-sample test (Gretton, Borgwardt, Rasch, Schölkopf, Smola, *A kernel two-sample test*, JMLR 13, 2012)
says how typical a vector is of the reference; what is left of a vector outside the reference's 32 principal directions
says how foreign it is; and its place along the first eight says where else it moved.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.conformal import ReferenceShift

_DIRECTIONS = 32
_RANKED_DIRECTIONS = 8
_FEATURES = 128  # F, random Fourier features
_PAIRS = 200  # reference vectors whose distances give the bandwidth


class EmbeddingShift(ReferenceShift):
    """Alarms when image vectors stop being exchangeable with those since the reference.

    Memory: R d floats while the reference is taken, then d (32 + 128) floats and 10 histograms of 34 bins.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> detector = EmbeddingShift(reference=200, seed=1)
        >>> detector.observe(rng.standard_normal((1_000, 16)).astype(np.float32))
        []
        >>> moved = rng.standard_normal((200, 16)).astype(np.float32) + 1.0
        >>> [signal.row < 60 for signal in detector.observe(moved)][:1]
        [True]
    """

    def _fit(self, reference: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        center = reference.mean(axis=0)  # (d,)
        # At least one direction is left out, or nothing could be foreign.
        n_kept = max(min(_DIRECTIONS, reference.shape[1] - 1, len(reference) - 2), 1)
        fitted = {
            "center": center,
            "directions": self._directions(reference - center, n_kept),  # (d, k)
            "frequencies": self._frequencies(reference),  # (d, F)
        }
        fitted["witness"] = self._features(reference, fitted).mean(axis=0)  # (F,)
        return fitted

    def _scores(self, values: NDArray[np.float32], fitted: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
        typical = self._features(values, fitted) @ fitted["witness"]  # (B,)
        centered = values - fitted["center"]
        along = centered @ fitted["directions"]  # (B, k)
        foreign = (centered**2).sum(axis=1) - (along**2).sum(axis=1)  # (B,)
        columns = [typical[:, None], foreign[:, None], along[:, :_RANKED_DIRECTIONS]]
        return np.concatenate(columns, axis=1).astype(np.float64)

    def _directions(self, centered: NDArray[np.float32], kept: int) -> NDArray[np.float32]:
        """The leading principal directions, by subspace iteration: all of them would take 50 ms for d = 512."""
        wider = min(kept + 8, centered.shape[1])
        basis = np.random.default_rng([self._seed, 2]).standard_normal((centered.shape[1], wider)).astype(np.float32)
        for _ in range(6):
            basis, _ = np.linalg.qr(centered.T @ (centered @ basis))  # (d, wider)
        _, rotation = np.linalg.eigh(np.cov(centered @ basis, rowvar=False).reshape(wider, wider))
        return np.ascontiguousarray((basis @ rotation[:, ::-1])[:, :kept], dtype=np.float32)

    def _frequencies(self, reference: NDArray[np.float32]) -> NDArray[np.float32]:
        some = reference[:_PAIRS].astype(np.float64)
        norms = (some**2).sum(axis=1)
        squared = (norms[:, None] + norms - 2.0 * some @ some.T)[np.triu_indices(len(some), 1)].clip(0.0)
        # Half the median distance: the median itself is too wide to tell domains apart that share their classes.
        width = max(float(np.sqrt(np.median(squared))) / 2.0, 1e-6)
        directions = np.random.default_rng(self._seed).standard_normal((reference.shape[1], _FEATURES))
        return (directions / width).astype(np.float32)

    def _features(self, values: NDArray[np.float32], fitted: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """(B, F): random Fourier features; their mean product over the reference is the kernel's mean embedding."""
        phases = np.random.default_rng([self._seed, 1]).uniform(0.0, 2.0 * np.pi, _FEATURES).astype(np.float32)
        return np.asarray(np.cos(values @ fitted["frequencies"] + phases) * np.float32(np.sqrt(2.0 / _FEATURES)))
