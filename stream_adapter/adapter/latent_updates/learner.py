"""Localized Latent Updates as published, as a learner like any other; the formulas are in `maps.py`."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.latent_updates.maps import FitSettings, Fitted, Maps, Problem, adapted_texts, gates, solve
from stream_adapter.adapter.latent_updates.refitting import Refitting
from stream_adapter.adapter.learner import (
    Answer,
    Events,
    Labels,
    Learner,
    LearnerContext,
    Records,
    Standing,
    standing_of,
)
from stream_adapter.adapter.packing import Arrays, array_of
from stream_adapter.config import LatentUpdatesConfig
from stream_adapter.errors import SnapshotError


class LatentUpdates(Learner):
    """See `Learner`. What it knows is the anchors and the last fit to them; it learns nothing from unlabelled traffic.

    A fit takes a while, so labels are in force when it is done (`RefitConfig`), and until then the maps of the last fit
    answer, gated by the anchors of now.

    Args:
        anchors: what it is fitted to.
        settings: γ, g, and the fit's.
        context: clock, background and device.
    """

    Settings: ClassVar[type[LatentUpdatesConfig]] = LatentUpdatesConfig

    def __init__(
        self, classes: Classes, anchors: Anchors, settings: LatentUpdatesConfig, context: LearnerContext
    ) -> None:
        self._anchors = anchors
        self._config = settings
        self._device = "cpu" if context.device == "numpy" else context.device
        self._refitting = Refitting(settings.refit, context)
        self._fitted: Fitted | None = None
        self._use(classes)

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        """See `Learner.predict`."""
        images = torch.from_numpy(vectors).to(self._texts.device)
        zero_shot = self._probabilities(images, self._texts)
        if self._fitted is None:
            return Answer(zero_shot, zero_shot.copy(), zero_shot.copy())
        nearest = torch.from_numpy(self._anchors.nearest(vectors, 1).cosines[:, 0].copy())  # (B,)
        gate = gates(nearest, self._settings).to(images.device)
        adapted = self._probabilities(self._fitted.maps.image(images, gate), self._fitted.texts)
        return Answer(zero_shot, adapted, adapted.copy())

    def update(self, events: Events, labels: Labels) -> None:
        """See `Learner.update`.

        Raises:
            BaseException: whatever a fit in the background raised.
        """
        self._refitting.changed(len(labels.rows), self._up_to_date)
        fitted = self._refitting.maintain(self._up_to_date, self._take)
        self._fitted = fitted or self._fitted

    def follow(self, labels: Labels, records: Records) -> None:
        """See `Learner.follow`; a fit follows in `update`."""
        self._refitting.changed(len(labels.rows), self._up_to_date)

    def forget(self, rows: NDArray[np.int64], vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """See `Learner.forget`."""
        self._refitting.changed(len(rows), self._up_to_date)
        if not len(self._anchors):  # nothing is left to know, and no need to wait for a fit to say so
            self._forget_fit()

    def set_classes(self, classes: Classes, former: NDArray[np.int64]) -> None:
        """See `Learner.set_classes`; until the next fit the maps in force adapt the new text vectors."""
        self._refitting.abandon()
        self._use(classes)
        if self._fitted is not None:
            texts = adapted_texts(self._fitted.maps, self._texts, self._anchors.counts > 0, self._settings)
            self._fitted = replace(self._fitted, texts=texts)

    def standing(self) -> Standing:
        """See `Learner.standing`."""
        return standing_of(self._anchors.counts > 0)

    def state(self) -> dict[str, NDArray[Any]]:
        """The fit in force; nothing where there is none."""
        fitted = self._fitted
        if fitted is None:
            return {}
        return {
            "settings": _bytes_of(self._name),
            "version": _bytes_of(fitted.version),
            "weight": fitted.maps.weight.cpu().numpy(),
            "bias": fitted.maps.bias.cpu().numpy(),
            "texts": fitted.texts.cpu().numpy(),
        }

    def restore(self, arrays: Arrays) -> None:
        """See `Learner.restore`; a fit of other settings or classes is passed over."""
        self._forget_fit()
        settings = arrays.get("settings")
        if settings is None or settings.tobytes() != self._name.encode() or not len(self._anchors):
            return
        d = self._texts.shape[1]
        try:
            weight, bias = _floats(arrays, "weight", (2, d, d)), _floats(arrays, "bias", (2, d))
            texts = _floats(arrays, "texts", tuple(self._texts.shape))
            version = array_of(arrays, "version", np.uint8).tobytes().decode()
        except ValueError as error:
            raise SnapshotError(f"the saved fit cannot be used: {error}") from error
        to = self._texts.device
        maps = Maps(torch.from_numpy(weight).to(to), torch.from_numpy(bias).to(to))
        self._fitted = Fitted(maps, torch.from_numpy(texts).to(to), version)

    @property
    def version(self) -> str:
        """The anchors at the fit, their number and digest, and the settings and classes that it was made with."""
        return f"0-{self._name}" if self._fitted is None else self._fitted.version

    @property
    def pending(self) -> int:
        """Anchors that came or went since the fit; 0 where it is one to the anchors of now."""
        return 0 if self._up_to_date else max(1, self._refitting.changes)

    def _use(self, classes: Classes) -> None:
        config, refit = self._config, self._config.refit
        self._settings = FitSettings(
            classes.logit_scale, config.gamma, config.gate, refit.steps, refit.learning_rate, refit.rho
        )
        self._texts = torch.from_numpy(classes.texts).to(self._device)
        of = repr((tuple(classes.names), self._settings, refit.max_anchors)).encode() + classes.texts.tobytes()
        self._name = hashlib.blake2b(of, digest_size=4).hexdigest()

    def _forget_fit(self) -> None:
        self._refitting.abandon()
        self._fitted = None

    @property
    def _up_to_date(self) -> bool:
        return self.version == self._version_now()

    def _version_now(self) -> str:
        """The version that a fit to the anchors of now has."""
        count = len(self._anchors)
        return f"{count}-{self._anchors.digest[:12]}-{self._name}" if count else f"0-{self._name}"

    def _take(self) -> Callable[[], Fitted]:
        anchors = self._anchors
        slots = take_part(anchors.classes, anchors.keys, self._config.refit.max_anchors)
        labelled, version = anchors.counts > 0, self._version_now()
        problem = Problem(anchors.vectors[slots], anchors.classes[slots], labelled, self._texts, version)
        return partial(solve, problem, self._settings)

    def _probabilities(self, images: torch.Tensor, texts: torch.Tensor) -> NDArray[np.float32]:
        logits = self._settings.logit_scale * images @ texts.T  # (B, C)
        probabilities: NDArray[np.float32] = logits.softmax(dim=1).cpu().numpy()
        return probabilities


def _bytes_of(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


def _floats(arrays: Arrays, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A copy of the array of this name, which nobody else changes.

    Raises:
        ValueError: it is missing, of another type or shape, or not finite.
    """
    array: NDArray[np.float32] = array_of(arrays, name, np.float32, dimensions=len(shape))
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"`{name}` has shape {array.shape}, expected {shape} and finite numbers")
    return array.copy()


def take_part(classes: NDArray[np.int64], keys: NDArray[np.uint64], most: int) -> NDArray[np.int64]:
    """An even share of each class, small classes whole; of a class those whose ids hash lowest.

    When one anchor comes or goes, next to all others that took part still do.

    Args:
        classes: int64 (n,), of the anchors.
        keys: uint64 (n,), `key_of` their ids.
        most: how many may enter.

    Returns:
        int64 (m,), their places in order of their keys: a function of the set of anchors.
    """
    order = np.lexsort((keys, classes))  # by class, then by key
    grouped = classes[order]
    rank = np.arange(len(order)) - np.searchsorted(grouped, grouped)  # within its class
    # The first of each class, then the second of each, and so on: smaller classes are through earlier.
    chosen = order[np.lexsort((grouped, rank))[:most]]
    return chosen[np.argsort(keys[chosen], kind="stable")]
