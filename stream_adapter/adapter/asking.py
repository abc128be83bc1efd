"""What to label next: the events whose labels would settle most of the traffic that is still in doubt; pure."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# How fast a label says less about other events, with their cosine distance after the traffic's mean is taken off.
_DECAY = 8.0
# Cosine from which on two pictures are one for whoever labels. Where most of the traffic is one scene, what is left of
# its frames without the mean is noise, by which no two are near. Of 6,100 pictures of the five sets that
# docs/evaluation.md reports on, no two of different classes had it.
_COPY = 0.98
_AT_ONCE = 4_096
_TINY = 1e-6  # the length of an event that is the mean


def doubt_of(top: NDArray[np.floating]) -> NDArray[np.float32]:
    """1 − p² of the probability of what was answered, (n,): how likely two draws from the answer are not both that.

    So far as only the best class is known it is the answer's Gini impurity. With 1 − p hardly anybody asks about a
    crowd that is half sure, where labels still teach.
    """
    return np.asarray(1.0 - np.square(top), np.float32)


def are_copies(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of these unit vectors (n, d) are copies of one of the others (m, d): bool (n,)."""
    found = np.zeros(len(vectors), np.bool_)
    for portion in _portions(others):
        found |= (vectors @ portion.T >= _COPY).any(axis=1)
    return found


def most_telling(
    vectors: NDArray[np.float32],
    doubt: NDArray[np.floating],
    labelled: NDArray[np.float32],
    number: int,
    may: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """The events to ask about, best first.

    A label is held to settle an event as far as it is near: k(x, y) = exp(−8 · cosine distance of x − m and y − m), m
    the mean of the traffic, or 1 for copies: x and y of cosine 0.98 or more. What asking about x gains is
    Σ_y doubt_y · max(0, k(x, y) − max_l k(l, y)), over the labels l that are there and those asked for already: much
    for the middle of a crowd in doubt (of a class that nobody labelled, or where classes are mixed up), little beside
    a label, nothing for the second of two copies. The best is taken, greedily: within 1 − 1/e of the best set, because
    the sum is submodular (Nemhauser, Wolsey, Fisher, *An analysis of approximations for maximizing submodular set
    functions*, Mathematical Programming 14, 1978).

    Args:
        vectors: float32 (n, d), unit: recent events, labelled or not.
        doubt: float (n,), 0..1, of their answers; see `doubt_of`.
        labelled: float32 (m, d), unit: what labels are there for; m may be 0.
        number: how many to ask about.
        may: bool (n,), which may be asked about; None: all.

    Returns:
        int64, at most `number` rows; fewer where no label would settle anything.
    """
    if not len(vectors):
        return np.zeros(0, np.int64)
    mean = vectors.mean(axis=0)
    nearness = _nearness(vectors, vectors, mean)  # (n, n)
    settled = np.zeros(len(vectors), np.float32)
    for portion in _portions(labelled):
        settled = np.maximum(settled, _nearness(vectors, portion, mean).max(axis=1))
    open_to = np.ones(len(vectors), np.bool_) if may is None else may.copy()
    chosen: list[int] = []
    while len(chosen) < number:
        gain = np.where(open_to, np.maximum(nearness - settled, 0.0) @ doubt.astype(np.float32), 0.0)
        best = int(gain.argmax())
        if gain[best] <= 0.0:
            break
        chosen.append(best)
        open_to[best] = False
        settled = np.maximum(settled, nearness[best])
    return np.array(chosen, np.int64)


def _nearness(
    vectors: NDArray[np.float32], others: NDArray[np.float32], mean: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The k of unit vectors (n, d) and (m, d), float32 (n, m), with the mean of the traffic (d,)."""
    cosines = vectors @ others.T
    centred = cosines - (vectors @ mean)[:, None] - (others @ mean - mean @ mean)  # (x − m)·(y − m)
    centred /= np.maximum(np.linalg.norm(vectors - mean, axis=1), _TINY)[:, None]
    centred /= np.maximum(np.linalg.norm(others - mean, axis=1), _TINY)
    np.clip(centred, -1.0, 1.0, out=centred)  # of the mean itself nothing but rounding is left
    return np.where(cosines >= _COPY, np.float32(1.0), np.exp(_DECAY * (centred - 1.0)))


def _portions(vectors: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """All of them, (m, d), so many at once that what they are compared with takes little memory."""
    return (vectors[start : start + _AT_ONCE] for start in range(0, len(vectors), _AT_ONCE))
