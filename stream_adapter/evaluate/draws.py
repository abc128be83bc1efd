"""Randomness: one generator for each purpose, so that a method more or an option more changes no other draw."""

import zlib

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.features import Features


def generator(seed: int, purpose: str) -> np.random.Generator:
    """The generator for one purpose of one seed: the same wherever and whenever it is asked for."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def draw_classes(features: Features, share: float, seed: int, purpose: str) -> NDArray[np.int64]:
    """A share of the classes that occur, rounded, at least one and not all of them: int64, ascending."""
    if not 0.0 < share < 1.0:
        raise EvaluationError(f"a share of the classes must be between 0 and 1, found {share:g}")
    occurring = features.occurring
    if len(occurring) < 2:
        raise EvaluationError(
            f"{features.name} has events of {len(occurring)} class of its vocabulary; to teach some classes and hold "
            "others out, at least two are needed"
        )
    wanted = min(max(round(share * len(occurring)), 1), len(occurring) - 1)
    return np.sort(generator(seed, purpose).permutation(occurring)[:wanted])


def draw_look_alikes(features: Features, share: float, seed: int) -> NDArray[np.int64]:
    """As many classes as `draw_classes` draws, at most half of them: one of each of the pairs that look most alike.

    Pairs are found by the cosine of their pictures' means, the closest first, no class in two of them.
    """
    wanted = len(draw_classes(features, share, seed, "canaries"))
    occurring = features.occurring
    means = np.stack([features.vectors[features.labels == label].mean(axis=0) for label in occurring.tolist()])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    alike = np.triu(means @ means.T + 2.0, 1)
    pairs: list[tuple[np.intp, ...]] = []
    while len(pairs) < wanted and alike.any():
        pairs.append(np.unravel_index(alike.argmax(), alike.shape))
        alike[list(pairs[-1])], alike[:, list(pairs[-1])] = 0.0, 0.0
    sides = generator(seed, "look-alikes").integers(2, size=len(pairs))
    return np.sort(occurring[[pair[side] for pair, side in zip(pairs, sides.tolist(), strict=True)]])


def named_classes(features: Features, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Indices of classes by name: int64, ascending."""
    known = {name: index for index, name in enumerate(features.vocabulary.class_names)}
    missing = [name for name in names if name not in known]
    if missing:
        raise EvaluationError(f"not in the vocabulary of {features.name}: {', '.join(missing)}")
    return np.array(sorted({known[name] for name in names}), np.int64)
