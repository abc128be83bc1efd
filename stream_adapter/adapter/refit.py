"""When the maps are fitted again, to which anchors, and how the result comes back to the owner's thread."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_adapter.adapter.latent_update import FitSettings, Maps, fit, gates, identity_maps
from stream_adapter.adapter.pruning import allowances
from stream_adapter.adapter.store import AnchorStore
from stream_adapter.config import RefitConfig

P = ParamSpec("P")
T = TypeVar("T")


class InlineExecutor(Executor):
    """Runs everything at once, in the caller's thread: background work becomes deterministic."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call and keep the outcome."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - handed on to whoever asks for the result
            future.set_exception(error)
        return future


@dataclass(frozen=True, eq=False, slots=True)
class FitProblem:
    """All that one fit depends on, copied from the store so that it may run anywhere.

    Attributes:
        vectors: float32 (n, d), the anchors that take part.
        classes: int64 (n,), class indices.
        text_vectors: float32 (C, d), of all classes.
        labelled: bool (C,), the classes that have anchors.
        gamma: the text gate's γ.
        settings: the fit's settings.
        anchors: how many anchors there were, whether they take part or not.
        digest: their digest.
        taken_at_s: when they were taken, by the caller's clock.
    """

    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    text_vectors: Tensor
    labelled: NDArray[np.bool_]
    gamma: float
    settings: FitSettings
    anchors: int
    digest: str
    taken_at_s: float


@dataclass(frozen=True, eq=False, slots=True)
class Fitted:
    """What a fit leaves for predictions.

    Attributes:
        maps: the image and the text map.
        text_vectors: float32 (C, d), t' of all classes, computed once per fit.
        anchors: how many anchors there were.
        digest: their digest.
        taken_at_s: when they were taken; None for the identity that the adapter starts with.
    """

    maps: Maps
    text_vectors: Tensor
    anchors: int
    digest: str
    taken_at_s: float | None


def nothing_fitted(text_vectors: Tensor, digest: str) -> Fitted:
    """What is in force before the first fit."""
    return Fitted(identity_maps(text_vectors.shape[1], text_vectors.device), text_vectors, 0, digest, None)


def solve(problem: FitProblem) -> Fitted:
    """Fit the maps and adapt all text vectors with them: a pure function."""
    texts = problem.text_vectors  # (C, d)
    device = texts.device
    labelled = torch.from_numpy(problem.labelled).to(device)
    seen = texts[labelled]  # (S, d)
    position = np.cumsum(problem.labelled) - 1  # (C,), row in `seen` of each labelled class
    maps = fit(
        torch.from_numpy(problem.vectors).to(device),
        torch.from_numpy(position[problem.classes]).to(device),
        seen,
        problem.settings,
    )
    adapted = texts
    if len(seen):
        nearest = (texts @ seen.T).amax(dim=1)  # (C,)
        adapted = maps.text(texts, gates(nearest, problem.gamma, problem.settings.damping))
    return Fitted(maps, adapted, problem.anchors, problem.digest, problem.taken_at_s)


def take_part(store: AnchorStore, most: int) -> NDArray[np.int64]:
    """Which anchors enter a fit: all, or an even share of each class, those whose ids hash lowest; in id order.

    Returns:
        int64 (n,), slots; a function of the set of anchors, whatever order they came in.
    """
    slots = np.arange(len(store))
    if len(store) > most:
        allowed = allowances(store.counts, np.zeros(len(store.counts), np.int64), most, most)
        order = np.lexsort((store.keys, store.classes))  # by class, then by hash
        classes = store.classes[order]
        rank = np.arange(len(order)) - np.searchsorted(classes, classes)  # within its class
        slots = order[rank < allowed[classes]]
    ids = store.ids
    return np.array(sorted(slots.tolist(), key=lambda slot: ids[slot]), np.int64)


class Refitting:
    """Decides when to refit, and keeps at most one fit under way.

    A refit is due after `every_labels` changes, or when the oldest change is `max_age_s` old. Changes that come during
    a fit count for the next one.

    Args:
        config: when.
    """

    def __init__(self, config: RefitConfig) -> None:
        self._every = config.every_labels
        self._max_age_s = config.max_age_s
        self._inline = None if config.background else InlineExecutor()
        self._changes = 0
        self._in_flight = 0
        self._oldest_s: float | None = None
        self._running: Future[Fitted] | None = None
        self._started_s = 0.0
        self._resting_until_s = float("-inf")

    @property
    def changes(self) -> int:
        """Changes that no fit in force knows yet."""
        return self._changes + self._in_flight

    def changed(self, count: int) -> None:
        """So many anchors were added, replaced or removed."""
        self._changes += count

    def maintain(self, executor: Executor, now_s: float, problem: Callable[[], FitProblem]) -> Fitted | None:
        """Start a fit that is due; the result of one that is done, or None.

        Raises:
            BaseException: whatever the fit raised.
        """
        finished = self._collect()
        if finished is not None:
            self._resting_until_s = now_s + (now_s - self._started_s)
        if self._changes and self._oldest_s is None:
            self._oldest_s = now_s
        if self._running is None and self._is_due(now_s):
            self._in_flight, self._changes, self._oldest_s = self._changes, 0, None
            self._started_s = now_s
            self._running = (self._inline or executor).submit(solve, problem())
            finished = self._collect() or finished
        return finished

    def _is_due(self, now_s: float) -> bool:
        if self._oldest_s is None or now_s < self._resting_until_s:
            return False
        return self._changes >= self._every or now_s - self._oldest_s >= self._max_age_s

    def _collect(self) -> Fitted | None:
        if self._running is None or not self._running.done():
            return None
        running, self._running = self._running, None
        waiting, self._in_flight = self._in_flight, 0
        try:
            return running.result()
        except BaseException:
            self._changes += waiting
            raise


def settings_hash(*parts: Any) -> str:
    """Eight hex digits that change when anything does that predictions depend on, other than anchors."""
    digest = hashlib.blake2b(digest_size=4)
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()
