"""The learner that docs/method.md states: zero-shot, presence, purity and class means in one product."""

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Answer, Events, Labels, LearnerContext, Records, Standing
from stream_adapter.adapter.mixture.backend import Array, Backend
from stream_adapter.adapter.mixture.directions import SharedDirections, find_directions
from stream_adapter.adapter.mixture.estimate import Estimate
from stream_adapter.adapter.mixture.label_shift import label_shift, responsibilities
from stream_adapter.adapter.mixture.window import Window
from stream_adapter.adapter.packing import Arrays
from stream_adapter.config import AnchorsConfig, MixtureConfig

# A refresh may take this share of the time from one to the next, and this one while nothing arrives.
_SHARE = 0.1
_IDLE_SHARE = 0.5
# With so many times the events and anchors, what was asked a moment ago is not news any more: at its start a fast
# stream would otherwise be answered for a second by its first labels alone.
_GROWN = 1.1


class Mixture:
    """Answers from sums over anchors and over a window of traffic.

    Labels change the sums at once. What the window says (beliefs about its events, presences, the covariance)
    is refreshed in line, at most every `every_s` seconds and in a tenth of the time, or half of it while nothing
    arrives; while there is little yet, as soon as there is a tenth more; without a clock at every update.

    What it answers is a function of the anchors, of the evidence in force (its own and the other workers') and of the
    directions: nothing that a forgotten label did stays behind.
    """

    Settings: ClassVar[type[MixtureConfig]] = MixtureConfig

    def __init__(self, classes: Classes, anchors: Anchors, settings: MixtureConfig, context: LearnerContext) -> None:
        self._classes = classes
        self._anchors = anchors
        self._settings = settings
        self._clock = context.clock
        self._seed = context.seed
        self._publishes = context.publishes
        self._give_way = context.give_way
        self._backend = Backend(context.device)
        self._texts = self._backend.put(classes.texts)
        self._texts_digests = _digests_of(classes.texts)
        self._window = Window(classes, settings.window, self._backend)
        self._directions = SharedDirections(classes.dimension, publishes=context.publishes)
        self._labelled = Estimate("evidence/", classes, anchors, settings, context, self._backend)
        self._unlabelled: Estimate | None = None  # the same traffic as it would be read if nothing was labelled
        if settings.reach is not None:
            none = Anchors(classes, (), AnchorsConfig(index="exact"))
            self._unlabelled = Estimate("traffic/", classes, none, settings, context, self._backend)
        self._last: tuple[NDArray[np.float32], Array] | None = None
        self._pending = 0
        self._due_s = self._due_idle_s = self._came_s = float("-inf")
        self._asked_of = 0  # events and anchors at the last refresh
        self._stale = False
        self._name_version()

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        """See `Learner.predict`."""
        on_device = self._backend.put(vectors)
        zero_shot = self._zero_shot(on_device)
        self._last = vectors.copy(), zero_shot
        plain = self._backend.get(zero_shot).copy()  # the caller's
        if not self._labelled.knows:
            return Answer(plain, plain.copy(), plain.copy())
        adapted = self._backend.get(self._labelled.model.answer(on_device, zero_shot))
        if self._unlabelled is None:
            return Answer(plain, adapted, adapted.copy())
        without = self._backend.get(self._unlabelled.model.answer(on_device, zero_shot))
        nearness = self._nearness(vectors)[:, None]  # (B, 1)
        adapted = np.where(nearness > 0, nearness * adapted + (1.0 - nearness) * without, without)
        return Answer(plain, adapted, adapted.copy(), in_reach=nearness[:, 0] > 0)

    def update(self, events: Events, labels: Labels) -> None:
        """See `Learner.update`."""
        if len(events.keys):
            self._window.add(events, self._zero_shot_of(events.vectors))
            self._stale = True
            self._find_directions()
        self._learned(len(labels.rows))
        self._refresh_if_due(came=len(events.keys) > 0)

    def follow(self, labels: Labels, records: Records) -> None:
        """See `Learner.follow`."""
        if self._directions.follow(records):
            self._use_directions()
        for estimate in self._estimates:
            if not estimate.shared.follow(records):
                continue
            if estimate.shared.key in records:  # what this worker has just published is in force with the next answer
                estimate.rebuild()
                self._name_version()
            else:
                self._stale = True
        self._learned(len(labels.rows))
        self._note_change(came=len(labels.rows) > 0)

    def forget(self, rows: NDArray[np.int64], vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """See `Learner.forget`."""
        self._learned(len(rows))
        self._note_change()

    def set_classes(self, classes: Classes, former: NDArray[np.int64]) -> None:
        """See `Learner.set_classes`."""
        same = np.where((classes.texts == self._classes.texts[former]).all(axis=1), former, -1)
        self._window.set_classes(classes, same)
        self._classes, self._last = classes, None
        self._texts = self._backend.put(classes.texts)
        digests = self._texts_digests[same]
        digests[same < 0] = _digests_of(classes.texts[same < 0])
        self._texts_digests = digests
        for estimate in self._estimates:
            estimate.set_classes(classes, former)
        # The window is asked when that is due: a thousand classes may come one by one.
        self._stale = True
        self._name_version()
        self._note_change()

    def records(self) -> Mapping[str, bytes]:
        """See `Learner.records`."""
        due = dict(self._directions.due())
        for estimate in self._estimates:
            due |= estimate.shared.due()
        return due

    def standing(self) -> Standing:
        """See `Learner.standing`."""
        return self._labelled.standing

    def state(self) -> dict[str, NDArray[Any]]:
        """See `Learner.state`."""
        parts = {"window": self._window.state()}
        if not self._publishes:  # else whoever publishes records keeps them, and hands them over again
            parts |= {kind: one.shared.state() for kind, one in self._by_kind}
            parts["directions"] = {"value": np.frombuffer(self._directions.value, np.uint8)}
        return {f"{part}.{name}": array for part, of in parts.items() for name, array in of.items()}

    def restore(self, arrays: Arrays) -> None:
        """See `Learner.restore`."""
        window = _part(arrays, "window")
        if not window:
            return
        directions = arrays.get("directions.value")
        if directions is not None and self._directions.follow({"directions": directions.tobytes() or None}):
            self._use_directions()
        for kind, estimate in self._by_kind:
            part = _part(arrays, kind)
            if part:  # none where `reach` was not set then
                estimate.shared.restore(part)
            estimate.rebuild()
        self._window.restore(window, self._classes)
        self._stale = True
        self._name_version()

    @property
    def version(self) -> str:
        """See `Learner.version`."""
        return self._version

    @property
    def pending(self) -> int:
        """See `Learner.pending`."""
        return self._pending

    @property
    def _by_kind(self) -> list[tuple[str, Estimate]]:
        return [("labelled", self._labelled), *([("unlabelled", self._unlabelled)] if self._unlabelled else [])]

    @property
    def _estimates(self) -> list[Estimate]:
        return [estimate for _, estimate in self._by_kind]

    def _zero_shot(self, vectors: Array) -> Array:
        """softmax(τ z·t): (n, d) -> (n, C)."""
        return self._backend.softmax(self._classes.logit_scale * (vectors @ self._texts.T))

    def _zero_shot_of(self, vectors: NDArray[np.float32]) -> Array:
        """The same, remembered from `predict`."""
        if self._last is not None and np.array_equal(self._last[0], vectors):
            return self._last[1]
        return self._zero_shot(self._backend.put(vectors))

    def _nearness(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 (B,): 1 up to half of `reach` from the nearest anchor, in cosine distance, 0 from `reach` on."""
        assert self._settings.reach is not None
        distance = 1.0 - self._anchors.nearest(vectors, 1).cosines[:, 0]
        return np.asarray(np.clip(2.0 - 2.0 * distance / self._settings.reach, 0.0, 1.0), np.float32)

    def _find_directions(self) -> None:
        newest = self._directions.newest
        if newest is not None and self._window.seen < 2 * newest.version:
            return
        shift = label_shift(self._window.zero_shot, self._window.weights, self._backend)
        belief = responsibilities(self._backend.get(self._window.zero_shot), shift)
        vectors = self._backend.get(self._window.vectors)
        self._directions.found(find_directions(self._window, vectors, belief, newest, self._seed))
        if self._directions.newest is self._directions.in_force:
            self._use_directions()

    def _use_directions(self) -> None:
        directions = self._directions.in_force
        assert directions is not None
        self._window.set_directions(directions)
        self._anchors.set_directions(directions)
        self._stale = True

    def _learned(self, labels: int) -> None:
        self._labelled.learned()
        if labels:
            self._pending += labels
            self._stale = True

    def _note_change(self, *, came: bool = False) -> None:
        """Something has changed apart from a batch: what is due by the clock waits for `update`, as much may follow."""
        if self._clock is None:
            self._refresh_if_due()
        elif came:
            self._came_s = self._clock()

    def _refresh_if_due(self, *, came: bool = False) -> None:
        if not self._stale:
            return
        if self._clock is None:
            self._refresh()
            return
        started = self._clock()
        # What is due by growth waits for nothing: it comes to a few dozen refreshes in a lifetime.
        grown = self._amount >= _GROWN * self._asked_of
        self._came_s = started if came else self._came_s
        idle = started - self._came_s >= self._settings.every_s
        if grown or started >= (self._due_idle_s if idle else self._due_s):
            self._refresh()
            took = self._clock() - started
            self._asked_of = self._amount
            self._due_s = started + max(self._settings.every_s, took / _SHARE)
            self._due_idle_s = started + max(self._settings.every_s, took / _IDLE_SHARE)
            if started < self._may_ask_s:  # then at once, what was left out here
                self._due_s = min(self._due_s, max(self._may_ask_s, started + took / _SHARE))
                self._due_idle_s = min(self._due_idle_s, self._due_s)

    @property
    def _amount(self) -> int:
        return self._window.seen + len(self._anchors)

    @property
    def _may_ask_s(self) -> float:
        """Before this time of the clock no worker would hear of what the window says, this one included."""
        return max(estimate.shared.pause_until_s for estimate in self._estimates)

    def _refresh(self) -> None:
        """Ask the window anew, and make the models of what it says now, and of the anchors."""
        asks = self._clock is None or self._clock() >= self._may_ask_s
        if asks and len(self._window):
            self._give_way()
            shift = label_shift(self._window.zero_shot, self._window.weights, self._backend)
            for estimate in self._estimates:
                estimate.ask(self._window, shift, self._give_way)
        for estimate in self._estimates:
            self._give_way()
            estimate.rebuild()
        if asks:
            self._pending, self._stale = 0, False
        self._name_version()

    def _name_version(self) -> None:
        directions: Directions | None = self._directions.in_force
        evidence = [estimate.shared.digest for estimate in self._estimates]
        of = (self._settings, self._classes.logit_scale, evidence, directions and directions.version)
        digest = hashlib.blake2b(repr(of).encode(), digest_size=4)
        digest.update("\0".join(self._classes.names).encode() + self._texts_digests.tobytes())
        self._version = f"mixture-{digest.hexdigest()}"


def _digests_of(texts: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Uint8 (C, 8), of each row of float32 (C, d)."""
    digests = b"".join(hashlib.blake2b(text.tobytes(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, np.uint8).reshape(-1, 8)


def _part(arrays: Arrays, name: str) -> dict[str, NDArray[Any]]:
    return {key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")}
