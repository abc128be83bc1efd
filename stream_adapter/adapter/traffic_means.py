"""Where a window's unlabelled events lie, class by class, as the adapted model takes them.

Labels never come for some classes, but their pictures do, and lie close together. With w_ic the adapted probability of
class c at the time of event i, the unlabelled events give each class a weight N_c = Σ_i w_ic and a mean
Σ_i w_ic z_i / N_c. What labelled events put on a class without anchors is known to be false, so of N_c only the excess
over their rate speaks for such a class.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_WEIGHT = 0.5  # events' worth of belief below which a class has no mean
_WORTH_TELLING = 4.0  # events' worth of evidence; of less every new event moves the mean
_MOST_BYTES = 600_000  # of all means on the wire; Kafka's usual limit for a record is 1 MB
_LONGEST = 1.01  # of a mean of unit vectors, with what float16 rounds
_TEXT_BYTES = 2 * 4 / 3  # of a float16 in base64


@dataclass(frozen=True, eq=False, slots=True)
class TrafficMeans:
    """m classes' weights and sums; those of several workers add up.

    Attributes:
        classes: int64 (m,), ascending.
        weights: float64 (m,), N: events' worth of belief.
        excess: float64 (m,), what of it labelled events do not explain.
        sums: float32 (m, d), Σ_i w_ic z_i.
    """

    classes: NDArray[np.int64]
    weights: NDArray[np.float64]
    excess: NDArray[np.float64]
    sums: NDArray[np.float32]

    @classmethod
    def none(cls) -> "TrafficMeans":
        """Nothing seen."""
        return cls(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty((0, 0), np.float32))

    @classmethod
    def of(
        cls,
        vectors: NDArray[np.float32],
        beliefs: NDArray[np.float32],
        believed: NDArray[np.int32],
        labelled: NDArray[np.bool_],
        n_classes: int,
    ) -> "TrafficMeans":
        """Those of a window.

        Args:
            vectors: float32 (n, d), unit.
            beliefs: float32 (n, k), each event's largest adapted probabilities.
            believed: int32 (n, k), their classes.
            labelled: bool (n,), events whose label is known.
            n_classes: C.
        """
        if labelled.all():
            return cls.none()

        def weight_of(events: NDArray[np.bool_]) -> NDArray[np.float64]:
            counted = np.bincount(believed[events].ravel(), beliefs[events].ravel(), minlength=n_classes)
            return counted.astype(np.float64)  # (C,)

        weights = weight_of(~labelled)
        known_false = weight_of(labelled) * ((~labelled).sum() / max(labelled.sum(), 1))
        most = int(_MOST_BYTES / (_TEXT_BYTES * vectors.shape[1]))
        heaviest = np.argsort(-weights, kind="stable")[:most]
        classes = np.sort(heaviest[weights[heaviest] >= _LEAST_WEIGHT]).astype(np.int64)
        place = np.full(n_classes, -1, np.int64)
        place[classes] = np.arange(len(classes))
        column = place[believed[~labelled]]  # (n', k)
        by_event = np.zeros((len(column), len(classes) + 1), np.float32)  # the last column is what has no mean
        np.put_along_axis(by_event, column, beliefs[~labelled], axis=1)
        sums = by_event[:, :-1].T @ vectors[~labelled]  # (m, d)
        return cls(classes, weights[classes], np.maximum(weights - known_false, 0.0)[classes], sums)

    def __add__(self, other: "TrafficMeans") -> "TrafficMeans":
        """Two windows' events together."""
        if not len(self.classes) or not len(other.classes):
            return other if len(other.classes) else self
        classes = np.union1d(self.classes, other.classes)
        sums = np.zeros((len(classes), self.sums.shape[1]), np.float32)
        weights, excess = np.zeros((2, len(classes)))
        for part in (self, other):
            at = np.searchsorted(classes, part.classes)
            weights[at] += part.weights
            excess[at] += part.excess
            sums[at] += part.sums
        return TrafficMeans(classes, weights, excess, sums)

    def rounded(self) -> "TrafficMeans":
        """What survives the wire: means as float16, weights with two decimals."""
        weights, excess = np.round(self.weights, 2), np.round(self.excess, 2)
        means = (self.sums / self.weights[:, None]).astype(np.float16)
        return TrafficMeans(self.classes, weights, excess, _sums(means, weights))

    def to_json(self, class_names: Sequence[str]) -> dict[str, Any]:
        """By class name [weight, excess, mean], the mean as little-endian float16 in base64.

        Exact for what `rounded` gives.
        """
        means = (self.sums / self.weights[:, None]).astype("<f2")
        rows = zip(self.classes.tolist(), self.weights.tolist(), self.excess.tolist(), means, strict=True)
        return {class_names[c]: [w, e, base64.b64encode(mean.tobytes()).decode()] for c, w, e, mean in rows}

    @classmethod
    def from_json(cls, document: object, class_names: Sequence[str], dimension: int) -> "TrafficMeans":
        """Read the wire form; classes that this vocabulary lacks are dropped.

        Raises:
            ValueError: it is no such document, its vectors have another length than `dimension`, or no worker tells
                such means: a weight below a half, more excess than weight, a mean longer than of unit vectors.
        """
        if not isinstance(document, Mapping):
            raise ValueError(f"class presence: `means` must be an object, found {document!r:.80}")
        index_of = {name: index for index, name in enumerate(class_names)}
        rows = sorted(
            (index_of[name], *_row(name, row, dimension)) for name, row in document.items() if name in index_of
        )
        if not rows:
            return cls.none()
        classes, weights, excess, means = zip(*rows, strict=True)
        told = np.array(weights, np.float64)
        vectors = np.stack([np.frombuffer(mean, "<f2") for mean in means]).astype(np.float16)
        return cls(np.array(classes, np.int64), told, np.array(excess, np.float64), _sums(vectors, told))

    def moved(self, before: "TrafficMeans", same: float) -> bool:
        """Whether a class with four events' worth of evidence came, went, or has a mean of a cosine below `same`."""
        told, was = (set(part.classes[part.excess >= _WORTH_TELLING].tolist()) for part in (self, before))
        if told != was:
            return True
        both = np.array(sorted(told), np.int64)
        now, then = (part.sums[np.searchsorted(part.classes, both)] for part in (self, before))  # (m', d)
        lengths = np.linalg.norm(now, axis=1) * np.linalg.norm(then, axis=1)
        return bool(((now * then).sum(axis=1) < same * lengths).any())

    def columns(self) -> Iterator[NDArray[Any]]:
        """What a digest covers."""
        yield from (self.classes, self.weights, self.excess, self.sums)


def _sums(means: NDArray[np.float16], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    return means.astype(np.float32) * weights[:, None].astype(np.float32)  # (m, d)


def _row(name: object, row: object, dimension: int) -> tuple[float, float, bytes]:
    wrong = ValueError(
        f"class presence: the mean of {name!r:.80} must be [weight, excess, {dimension} float16 in base64], "
        f"found {row!r:.80}"
    )
    if not (isinstance(row, list) and len(row) == 3 and isinstance(row[2], str)):
        raise wrong
    weight, excess, text = row
    if not all(type(x) in (int, float) for x in (weight, excess)):
        raise wrong
    # What no worker tells is refused whole: a weight next to nothing would make every answer a division by zero.
    if not (0 <= excess <= weight and _LEAST_WEIGHT <= weight < 2**53):
        raise wrong
    try:
        mean = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong from error
    if len(mean) != 2 * dimension or not np.linalg.norm(np.frombuffer(mean, "<f2").astype(np.float64)) <= _LONGEST:
        raise wrong
    return float(weight), float(excess), mean
