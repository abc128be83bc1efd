"""Classes around their means, and the answer: formulas (2) and (3) of docs/method.md."""

from dataclasses import dataclass
from itertools import pairwise

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
# A likelihood ratio is a power of a quotient of square distances; with 18, five products are all that it takes.
_POWER = round((DIMENSIONS + FREEDOM) / 2.0)
_WIDTH = DIMENSIONS / 2.0 / _POWER
_LARGEST = float(np.exp(RATIO_LIMIT / _POWER))
_SMALLEST = 0.02  # its power is nothing, and still no denormal number, with which processors are slow
_BLOCKS = 4


@dataclass(frozen=True, eq=False, slots=True)
class Prior:
    """What classes are weighed by before any likelihood.

    Attributes:
        presence: float32 (C,), a: 1 for labelled classes.
        labelled: bool (C,).
    """

    presence: NDArray[np.float32]
    labelled: NDArray[np.bool_]


class ClassMeans:
    """The model in force. P of the C classes take part in the likelihood.

    Args:
        root: float32 (d, d), see `whitening`.
        former: a model of the same root, and for each class which one it is there, int64 (C,); −1 where it is new.

    Attributes:
        root: see above.
    """

    def __init__(
        self,
        anchors: AnchorSums,
        evidence: Evidence,
        prior: Prior,
        root: NDArray[np.float32],
        backend: Backend,
        former: "tuple[ClassMeans, NDArray[np.int64]] | None" = None,
    ) -> None:
        self.root = root
        self._anchors = anchors
        self._evidence = evidence
        self._backend = backend
        self.prior = prior
        n_classes, d = anchors.sums.shape
        self._root: list[tuple[int, NDArray[np.float32], Array]] = self._blocks() if former is None else former[0]._root
        has_mean = np.zeros(n_classes, np.bool_)
        has_mean[evidence.classes] = evidence.mass[evidence.classes] >= LEAST_MASS
        self._mass = np.where(has_mean, evidence.mass, 0.0)  # (C,)
        self._place = np.full(n_classes, -1)
        self._place[evidence.classes] = np.arange(len(evidence.classes))
        weight, count = evidence.weight, anchors.count
        centre = evidence.total / weight if weight > 0 else anchors.sums.sum(axis=0) / max(float(count.sum()), 1e-9)
        self._centre = centre.astype(np.float32)  # (d,)
        self._device_centre = backend.put(self._centre)
        self._apart = np.zeros((n_classes, d), np.float32)  # m_c − centre, where c takes part
        self._means = np.zeros((n_classes, d), np.float32)  # (m_c − centre) R
        self._squares = np.zeros(n_classes, np.float32)  # their square lengths
        self._rows = np.zeros((n_classes, d + 2), np.float32)  # see `_whiten`
        self._part, self._host_rows = np.zeros(0, np.int64), self._rows[:0]
        if former is not None:
            known = np.flatnonzero(former[1] >= 0)
            self._apart[known] = former[0]._apart[former[1][known]]
            self._means[known] = former[0]._means[former[1][known]]
        self._worth = self._worths()
        part = np.flatnonzero(self._worth >= TAKES_PART)
        self._whiten(part)
        self._fading = self._fade(part)
        self._arrange(part, part)

    def _blocks(self) -> list[tuple[int, NDArray[np.float32], Array]]:
        """The root is an upper triangle, of which a good third of a product by blocks is left out."""
        ends = np.linspace(0, len(self.root), _BLOCKS + 1).astype(int).tolist()
        parts = ((end, np.ascontiguousarray(self.root[:end, start:end])) for start, end in pairwise(ends))
        return [(end, block, self._backend.put(block)) for end, block in parts if block.size]

    def learned(self, classes: NDArray[np.int64], prior: Prior) -> None:
        """Labels have come or gone for classes int64 (m,): let their sums be in force, all else as it is."""
        self.prior = prior
        self._worth = self._worths()
        part = np.flatnonzero(self._worth >= TAKES_PART)
        changed = classes[self._worth[classes] >= TAKES_PART]
        self._whiten(changed)
        self._fading[prior.labelled] = 1.0
        self._arrange(part, changed)

    @property
    def active(self) -> bool:
        """Whether any class takes part."""
        return len(self._part) > 0

    def answer(self, vectors: Array, zero_shot: Array) -> Array:
        """Float32 (n, C), q of vectors (n, d) and their zero-shot probabilities (n, C)."""
        xp = self._backend.xp
        plain = zero_shot * self._factors
        if not self.active:
            plain /= xp.sum(plain, axis=1, keepdims=True)
            return plain
        full = self.product(vectors, zero_shot)
        overruled = xp.nonzero(xp.argmax(full, axis=1) != xp.argmax(plain, axis=1))[0]
        if len(overruled):
            plain = plain[overruled]
            plain *= (1.0 - self._say) / xp.sum(plain, axis=1, keepdims=True)
            full[overruled] = self._say * full[overruled] + plain
        return full

    def product(self, vectors: Array, zero_shot: Array) -> Array:
        """Float32 (n, C), the product of formula (2), as if labels had checked it; some class must take part."""
        full = zero_shot * self._faded
        ratio = self._ratio(vectors)  # (n, P)
        ratio *= self._g
        ratio += 1.0 - self._g
        if len(self._part) == full.shape[1]:
            full *= ratio
        else:
            full[:, self._part] *= ratio
        full /= self._backend.xp.sum(full, axis=1, keepdims=True)
        return full

    def _ratio(self, vectors: Array) -> Array:
        """t_c / t_0 of the classes that take part: float32 (n, P)."""
        xp = self._backend.xp
        x = vectors - self._device_centre
        parts = [x[:, :end] @ block for end, _, block in self._root]
        far = sum(xp.sum(part * part, axis=1) for part in parts)[:, None]  # from the centre
        ratio = xp.concat([*parts, far, xp.ones_like(far)], axis=1) @ self._part_rows.T  # (n, P), the denominator
        xp.divide(self._wide**_WIDTH + _TAIL * self._wide ** (_WIDTH - 1.0) * far, ratio, out=ratio)
        self._backend.clip(ratio, _SMALLEST, _LARGEST)
        ratio *= ratio
        square = xp.asarray(ratio, copy=True)
        for _ in range(3):
            ratio *= ratio
        ratio *= square  # 16 + 2
        return ratio

    def _worths(self) -> NDArray[np.float64]:
        """g: float64 (C,), how far each class's likelihood is believed."""
        count, unexplained = self._anchors.count, np.where(self._mass > 0, self._evidence.mass_unexplained, 0.0)
        total = np.maximum(count + self._mass, 1e-9)
        worth = unexplained / (unexplained + WORTH) * np.minimum(unexplained / total, 1.0)
        return np.where(self.prior.labelled, np.maximum(worth, count / (count + FEW)), worth)

    def _whiten(self, classes: NDArray[np.int64]) -> None:
        """Means of these classes (m,) anew.

        With x the event, far its square length, s the class's width and T = k/ν, a row makes of (x, far, 1) the
        denominator s^w (1 + T/s |x − m|²) in one product: (−2u m, u, s^w + u |m|²), u = T s^(w−1), w = k / (k + ν).
        """
        if not len(classes):
            return
        sums = self._anchors.sums[classes]  # (m, d), a copy
        seen = self._mass[classes] > 0
        sums[seen] += self._evidence.sums[self._place[classes[seen]]]
        total = (self._anchors.count + self._mass)[classes, None]
        x = (sums / total).astype(np.float32) - self._centre
        new = np.flatnonzero((x != self._apart[classes]).any(axis=1))
        self._apart[classes[new]] = x[new]
        self._means[classes[new]] = np.concatenate([x[new, :end] @ block for end, block, _ in self._root], axis=1)
        means = self._means[classes]
        squares = np.square(means).sum(axis=1)
        self._squares[classes] = squares
        width = 1.0 + 1.0 / np.maximum(total, LEAST_MASS)
        unit = (_TAIL * width ** (_WIDTH - 1.0)).astype(np.float32)
        self._rows[classes] = np.hstack([-2.0 * unit * means, unit, width**_WIDTH + unit * squares[:, None]])

    def _arrange(self, part: NDArray[np.int64], changed: NDArray[np.int64]) -> None:
        """The classes that take part, in the form in which `answer` needs them; of these (m,) the rows have changed."""
        put = self._backend.put
        if not np.array_equal(part, self._part):
            self._host_rows = self._rows if len(part) == len(self._rows) else self._rows[part]
        elif self._host_rows is not self._rows:
            self._host_rows[np.searchsorted(part, changed)] = self._rows[changed]
        self._part, self._part_rows = part, put(self._host_rows)
        noise = 1.0 / np.maximum((self._anchors.count + self._mass)[part], 1e-9)
        self._wide = 1.0 + float(np.maximum(self._squares[part] - noise, 0.0).mean()) if len(part) else 1.0
        self._g = put(self._worth[part].astype(np.float32))
        factors = self.prior.presence
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
