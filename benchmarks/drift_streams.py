"""Streams for the drift study: paired differences, and real CLIP vectors in random order."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Features:
    """Image vectors with labels and zero-shot probabilities."""

    vectors: NDArray[np.float32]  # (N, d)
    labels: NDArray[np.int64]  # (N,), -1: not in the vocabulary
    domains: NDArray[np.str_]  # (N,)
    class_names: list[str]  # C
    zero_shot: NDArray[np.float32]  # (N, C)
    logit_scale: float

    def pool(self, domain: str, classes: Sequence[int] | None = None) -> NDArray[np.int64]:
        """Rows of a domain, of these classes or of all in the vocabulary."""
        wanted = self.labels >= 0 if classes is None else np.isin(self.labels, classes)
        return np.flatnonzero((self.domains == domain) & wanted)

    def classes(self, domain: str) -> list[int]:
        """The classes that occur in a domain."""
        return sorted(set(self.labels[self.pool(domain)].tolist()))


def load_features(name: str, domain: str = "all") -> Features | None:
    """Vectors of the shared data folder, None where it is absent.

    Args:
        name: of the file, without its ending.
        domain: what to call the only domain of a file that names none.
    """
    folder = Path(os.environ.get("STREAM_ADAPTER_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = folder / f"{name}.npz"
    if not path.exists():
        return None
    with np.load(path) as data:
        vectors, texts = (_unit(data[key].astype(np.float32)) for key in ("vectors", "text_vectors"))
        labels, names = data["labels"].astype(np.int64), data["class_names"].tolist()
        domains = data["domains"] if "domains" in data else np.full(len(labels), domain)
        scale = float(data["logit_scale"]) if "logit_scale" in data else 100.0
    return Features(vectors, labels, domains, names, softmax(scale * vectors @ texts.T), scale)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Row by row, float32 (B, C)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def turning_up(
    rng: np.random.Generator, features: Features, domain: str, new: int, at: int, events: int, share: float
) -> tuple[NDArray[np.int64], int]:
    """Rows of a stream in which class `new` turns up after `at` events with this share, and where it is first."""
    rows = rng.choice(features.pool(domain, [c for c in features.classes(domain) if c != new]), events)
    turns = (np.arange(events) >= at) & (rng.random(events) < share)
    turns[at] = True
    rows[turns] = rng.choice(features.pool(domain, [new]), int(turns.sum()))
    return rows, at


def tip_adapter(
    features: Features, rows: NDArray[np.int64], anchors: NDArray[np.int64], alpha: float = 1.0, beta: float = 5.5
) -> NDArray[np.float32]:
    """Tip-Adapter (Zhang et al., ECCV 2022): harmful to what has no anchors, which is what it is here for. (B, C)."""
    affinity = np.exp(-beta * (1.0 - features.vectors[rows] @ features.vectors[anchors].T))  # (B, M)
    one_hot = np.eye(len(features.class_names), dtype=np.float32)[features.labels[anchors]]
    logits = np.log(np.maximum(features.zero_shot[rows], 1e-30))
    return softmax(logits + alpha * affinity @ one_hot)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
