"""Classes around their means, and the answer: formulas (2) and (3) of docs/method.md."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.mixture.anchor_sums import AnchorSums
from stream_adapter.adapter.mixture.backend import Array, Backend
from stream_adapter.adapter.mixture.constants import (
    DIMENSIONS,
    FADE,
    FEW,
    FREEDOM,
    LEAST_MASS,
    RATIO_LIMIT,
    TAKES_PART,
    UNCHECKED,
    WORTH,
)
from stream_adapter.adapter.mixture.evidence import Evidence

_TAIL = DIMENSIONS / FREEDOM
_EXPONENT = (DIMENSIONS + FREEDOM) / 2.0


@dataclass(frozen=True, eq=False, slots=True)
class Prior:
    """What classes are weighed by before any likelihood.

    Attributes:
        presence: float32 (C,), a: 1 for labelled classes.
        labelled: bool (C,).
        bias: b.
    """

    presence: NDArray[np.float32]
    labelled: NDArray[np.bool_]
    bias: float

    @property
    def factors(self) -> NDArray[np.float32]:
        """Float32 (C,): a_c e^{b [c labelled]}."""
        return self.presence * np.where(self.labelled, np.float32(np.exp(self.bias)), np.float32(1.0))


class ClassMeans:
    """The model in force. P of the C classes take part in the likelihood.

    Args:
        anchors: what anchors say.
        evidence: what traffic says.
        prior: presences and b.
        root: float32 (d, d), see `whitening`.
        backend: computes.
    """

    def __init__(
        self,
        anchors: AnchorSums,
        evidence: Evidence,
        prior: Prior,
        root: NDArray[np.float32],
        backend: Backend,
    ) -> None:
        self._anchors = anchors
        self._evidence = evidence
        self._backend = backend
        self._root = root
        self._device_root = backend.put(root)
        self.prior = prior
        n_classes, d = anchors.sums.shape
        count = anchors.count
        has_mean = np.zeros(n_classes, np.bool_)
        has_mean[evidence.classes] = evidence.mass[evidence.classes] >= LEAST_MASS
        self._mass = np.where(has_mean, evidence.mass, 0.0)  # (C,)
        self._place = np.full(n_classes, -1)
        self._place[evidence.classes] = np.arange(len(evidence.classes))
        weight = evidence.weight
        centre = evidence.total / weight if weight > 0 else anchors.sums.sum(axis=0) / max(float(count.sum()), 1e-9)
        self._centre = centre.astype(np.float32)  # (d,)
        self._device_centre = backend.put(self._centre)
        self._means = np.zeros((n_classes, d), np.float32)  # (m_c − centre) R, where c takes part
        self._squares = np.zeros(n_classes, np.float32)  # their square lengths
        self._worth = self._worths()
        part = np.flatnonzero(self._worth >= TAKES_PART)
        self._whiten(part)
        self._fading = self._fade(part)
        self._arrange(part)

    def learned(self, classes: NDArray[np.int64], prior: Prior) -> None:
        """Labels have come or gone for classes int64 (m,): let their sums be in force, all else as it is."""
        self.prior = prior
        self._worth = self._worths()
        part = np.flatnonzero(self._worth >= TAKES_PART)
        self._whiten(np.intersect1d(classes, part))
        self._fading[prior.labelled] = 1.0
        self._arrange(part)

    @property
    def active(self) -> bool:
        """Whether any class takes part."""
        return len(self._part) > 0

    def answer(self, vectors: Array, zero_shot: Array) -> Array:
        """Float32 (n, C), q of vectors (n, d) and their zero-shot probabilities (n, C)."""
        xp = self._backend.xp
        plain = zero_shot * self._factors
        plain /= xp.sum(plain, axis=1, keepdims=True)
        if not self.active:
            return plain
        full = zero_shot * self._faded
        ratio = xp.exp(self._backend.clip(self._log_ratio(vectors), None, RATIO_LIMIT))  # (n, P)
        ratio *= self._g
        ratio += 1.0 - self._g
        if len(self._part) == full.shape[1]:
            full *= ratio
        else:
            full[:, self._part] *= ratio
        full /= xp.sum(full, axis=1, keepdims=True)
        overruled = xp.astype(xp.argmax(full, axis=1) != xp.argmax(plain, axis=1), xp.float32)
        held_back = ((1.0 - self._say) * overruled)[:, None]  # 1 − h where q names another class, 0 elsewhere
        plain -= full
        plain *= held_back
        plain += full
        return plain

    def _log_ratio(self, vectors: Array) -> Array:
        """Log t_c / t_0 of the classes that take part: float32 (n, P)."""
        xp = self._backend.xp
        x = (vectors - self._device_centre) @ self._device_root  # (n, d)
        far = xp.sum(x * x, axis=1)[:, None]  # from the centre
        square = x @ self._part_means.T  # (n, P)
        square *= -2.0
        square += far
        square += self._lengths
        self._backend.clip(square, 0.0, None)
        square *= self._tails
        square += 1.0
        # Not log1p, which takes ten times as long: of what lies near 1 nothing is left but rounding in float32.
        ratio = xp.log(square)
        ratio -= xp.log(1.0 + (_TAIL / self._wide) * far)
        ratio *= -_EXPONENT
        ratio += self._log_widths
        return ratio

    def _worths(self) -> NDArray[np.float64]:
        """g: float64 (C,), how far each class's likelihood is believed."""
        count, unexplained = self._anchors.count, np.where(self._mass > 0, self._evidence.mass_unexplained, 0.0)
        total = np.maximum(count + self._mass, 1e-9)
        worth = unexplained / (unexplained + WORTH) * np.minimum(unexplained / total, 1.0)
        return np.where(self.prior.labelled, np.maximum(worth, count / (count + FEW)), worth)

    def _whiten(self, classes: NDArray[np.int64]) -> None:
        """Means of these classes (m,) anew."""
        if not len(classes):
            return
        sums = self._anchors.sums[classes]  # (m, d), a copy
        seen = self._mass[classes] > 0
        sums[seen] += self._evidence.sums[self._place[classes[seen]]]
        means = sums / (self._anchors.count + self._mass)[classes, None]
        whitened = (means.astype(np.float32) - self._centre) @ self._root
        self._means[classes], self._squares[classes] = whitened, np.square(whitened).sum(axis=1)

    def _arrange(self, part: NDArray[np.int64]) -> None:
        """The classes that take part, in the form in which `answer` needs them."""
        put = self._backend.put
        total = (self._anchors.count + self._mass)[part]
        means = self._means if len(part) == len(self._means) else self._means[part]  # (P, d)
        lengths = self._squares[part]
        self._wide = 1.0 + float(np.maximum(lengths - 1.0 / np.maximum(total, 1e-9), 0.0).mean()) if len(part) else 1.0
        widths = (1.0 + 1.0 / np.maximum(total, LEAST_MASS)).astype(np.float32)
        self._part = part
        self._part_means = put(means)
        self._lengths = put(lengths)
        self._tails = put((_TAIL / widths).astype(np.float32))
        self._log_widths = put((DIMENSIONS / 2.0 * np.log(self._wide / widths)).astype(np.float32))
        self._g = put(self._worth[part].astype(np.float32))
        factors = self.prior.factors
        self._factors = put(factors)
        self._faded = put(factors * self._fading.astype(np.float32))
        checked = float(np.maximum(self._anchors.count - 1.0, 0.0).sum())
        self._say = UNCHECKED + (1.0 - UNCHECKED) * checked / (checked + WORTH)

    def _fade(self, part: NDArray[np.int64]) -> NDArray[np.float64]:
        """f: float64 (C,), what an unlabelled class has left beside the others near it; 1 for labelled ones."""
        labelled, fading = self.prior.labelled, np.ones(len(self.prior.labelled))
        free = part[~labelled[part]]
        if not len(free):
            return fading
        means, unexplained = self._means[free], self._evidence.mass_unexplained[free]
        noise = 1.0 / self._mass[free]
        lengths = self._squares[free]
        square = np.maximum(lengths[:, None] + lengths - 2.0 * means @ means.T, 0.0).astype(np.float64)
        np.fill_diagonal(square, 0.0)
        near = np.exp(-FADE * np.maximum(square - noise - noise[:, None], 0.0))
        own = (unexplained + 1.0) / (1.0 + near @ unexplained)
        fading = np.where(labelled, 1.0, np.exp(np.log(own).mean()))
        fading[free] = own
        return fading
