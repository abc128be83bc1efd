"""Anchors, stores and executors that several tests of the adapter need."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors import offering
from stream_adapter.adapter.anchors.anchor import Anchor, as_stored, hash_of
from stream_adapter.adapter.anchors.offering import Offer
from stream_adapter.adapter.anchors.store import AnchorStore


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    wide = np.asarray(vectors, np.float64)
    short: NDArray[np.float32] = (wide / np.linalg.norm(wide, axis=-1, keepdims=True)).astype(np.float32)
    return short


def random_unit(count: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)))


def around(centres: NDArray[np.float32], per_class: int, spread: float, seed: int = 0) -> NDArray[np.float32]:
    """Unit vectors (C * per_class, d) near each of C centres, class by class."""
    noise = np.random.default_rng(seed).normal(size=(len(centres) * per_class, centres.shape[1]))
    return unit(np.repeat(centres, per_class, axis=0) + spread * noise / np.sqrt(centres.shape[1]))


def anchors_of(
    vectors: NDArray[np.float32], labels: Sequence[str], times: Sequence[int] | None = None, prefix: str = "a"
) -> list[Anchor]:
    """One anchor per vector; ids in no order that anything else has."""
    ids = [f"{prefix}{(index * 7919) % 100_003:05d}" for index in range(len(vectors))]
    times = range(len(vectors)) if times is None else times
    return [Anchor(*fields) for fields in zip(ids, vectors, labels, times, strict=True)]


def offer(store: AnchorStore, anchor: Anchor) -> Offer:
    stored, halves = as_stored(anchor.vector[None])
    return offering.offer(store, [anchor], stored, [hash_of(halves[0].tobytes())])[0][1]


def put(store: AnchorStore, anchor: Anchor) -> Offer:
    stored, halves = as_stored(anchor.vector[None])
    return offering.put(store, [anchor], stored, [hash_of(halves[0].tobytes())])[0][1]


def store_of(anchors: Sequence[Anchor], class_names: Sequence[str], dimension: int) -> AnchorStore:
    store = AnchorStore(class_names, dimension)
    for anchor in anchors:
        offer(store, anchor)
    return store


class HeldExecutor(Executor):
    """Keeps what is submitted until the test says so: the background, in slow motion."""

    def __init__(self) -> None:
        self._held: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._held.append((future, lambda: fn(*args, **kwargs)))
        return future

    @property
    def held(self) -> int:
        return len(self._held)

    def run(self) -> None:
        """Do everything that was submitted so far."""
        held, self._held = self._held, []
        for future, job in held:
            try:
                future.set_result(job())
            except Exception as error:
                future.set_exception(error)
