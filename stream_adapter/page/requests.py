"""Where the page's requests meet the thread that owns the adapter, between two batches."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import AnchorListing
from stream_adapter.adapter.learner import ClassKind
from stream_adapter.journey.observing import DeletionRequest
from stream_adapter.journey.parts import Parts

_FRESH_S = 1.0
_DELETIONS = 64

MOST_VECTORS = 4_000
"""Anchors that the page holds against each other, which takes their square; of more it would be felt by the stream."""


class Busy(Exception):
    """Nobody comes to what is asked: too much waits already, or the models are not there yet."""


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """The adapter at one moment; nothing in it changes any more.

    Attributes:
        vocabulary: hash of the classes.
        names: C class names.
        canaries: those that are never learned.
        anchors: all of them.
        vectors: float32 (n, d), theirs, where they were asked for and are not too many.
        late_labels: labels that came apart from their events, by anchor id, also of events that are no anchors.
        kinds: C long, what each class is taken for.
        presence: float32 (C,), how far each class is held to be in the traffic.
        damping: float32 (C,), the share of the update that the guard lets through.
        version: the adapter's version.
        digest: of the anchors.
    """

    vocabulary: str
    names: Sequence[str]
    canaries: frozenset[str]
    anchors: AnchorListing
    vectors: NDArray[np.float32] | None
    late_labels: Mapping[str, str]
    kinds: Sequence[ClassKind]
    presence: NDArray[np.float32]
    damping: NDArray[np.float32]
    version: str
    digest: str

    @classmethod
    def of(
        cls, parts: Parts, *, vectors: bool = False, late_labels: Mapping[str, str] = MappingProxyType({})
    ) -> "View":
        """Copy what is shown; for the adapter's thread."""
        adapter, classes, damping = parts.adapter, parts.classes.now, parts.watching.guard.damping
        return cls(
            classes.hash,
            classes.names,
            classes.canaries,
            adapter.anchors.listing(),
            adapter.anchors.vectors.copy() if vectors and adapter.n_anchors <= MOST_VECTORS else None,
            late_labels,
            adapter.kinds,
            adapter.presence,
            damping,
            adapter.version,
            adapter.anchors_digest,
        )


class RequestQueue:
    """Takes requests from any thread, and serves them in `serve`, which belongs to the adapter's thread.

    However many ask, the adapter is copied at most once a second.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._take: Callable[[bool], View] | None = None
        self._vectors = False
        self._view: View | None = None
        self._has_vectors = False
        self._taken_s = float("-inf")
        self._asked: Future[View] | None = None
        self._deletions: list[DeletionRequest] = []

    def open(self, take: Callable[[bool], View]) -> None:
        """From now on there is an adapter; `take` is called in its thread, and told whether vectors are wanted."""
        self._take = take

    def view(self, *, vectors: bool = False) -> Future[View]:
        """The adapter as it is, or was a second ago, with its vectors where wanted; shared: not to be cancelled."""
        with self._lock:
            enough = self._view is not None and (not vectors or self._has_vectors)
            if self._view is not None and enough and self._clock() - self._taken_s < _FRESH_S:
                fresh: Future[View] = Future()
                fresh.set_result(self._view)
                return fresh
            self._vectors |= vectors
            if self._asked is None:
                self._asked = Future()
                self._asked.set_running_or_notify_cancel()  # one who stops waiting must not cancel it for the others
            return self._asked

    def forget(self, anchor_ids: Sequence[str]) -> Future[Sequence[str]]:
        """Delete anchors; the result are those that were there, once their deletion is durable.

        Raises:
            Busy: too many deletions wait already; the worker is stuck, or about to stop.
        """
        done: Future[Sequence[str]] = Future()
        done.set_running_or_notify_cancel()

        def durable(gone: Sequence[str]) -> None:
            with self._lock:
                self._taken_s = float("-inf")  # who asks from now on sees them gone
            done.set_result(gone)

        with self._lock:
            if len(self._deletions) >= _DELETIONS:
                raise Busy
            self._deletions.append(DeletionRequest(tuple(anchor_ids), durable))
        return done

    def serve(self) -> Sequence[DeletionRequest]:
        """Serve what was asked for; what is to be forgotten is left to the caller."""
        if self._asked is None and not self._deletions:
            return ()
        with self._lock:
            asked, self._asked = self._asked, None
            deletions, self._deletions = self._deletions, []
            vectors, self._vectors = self._vectors, False
        if asked is not None:
            assert self._take is not None
            view = self._take(vectors)
            with self._lock:
                self._view, self._has_vectors, self._taken_s = view, vectors, self._clock()
            asked.set_result(view)
        return deletions
