"""A method in three functions, as docs/plugins.md shows it."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stream_adapter import Events, Labels, Replaying, Section


class NearestSettings(Section):
    """The keys of `adapter.methods.nearest`."""

    share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5


class Nearest(Replaying):
    """What zero-shot gives to labelled classes is divided among them anew: a share of it by the nearest class mean."""

    Settings = NearestSettings

    def begin(self) -> None:
        self._sums = np.zeros_like(self.classes.texts)  # (C, d)

    def learn(self, events: Events, labels: Labels) -> None:
        np.add.at(self._sums, labels.classes, labels.vectors)

    def answer(self, vectors: NDArray[np.float32], zero_shot: NDArray[np.float32]) -> NDArray[np.float32]:
        labelled = self.anchors.counts > 0  # (C,)
        if labelled.any():
            means = self._sums[labelled] / np.linalg.norm(self._sums[labelled], axis=1, keepdims=True)
            logits = self.classes.logit_scale * (vectors @ means.T)  # (B, labelled classes)
            near = np.exp(logits - logits.max(axis=1, keepdims=True))
            near *= zero_shot[:, labelled].sum(axis=1, keepdims=True) / near.sum(axis=1, keepdims=True)
            zero_shot[:, labelled] += self.settings.share * (near - zero_shot[:, labelled])
        return zero_shot
