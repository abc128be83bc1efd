"""The adapter: unit image vectors and labels in, adapted probabilities out."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors import Anchor
from stream_adapter.adapter.results import AdapterPrediction, ForgetResult, IndexStatistics, LearnResult
from stream_adapter.config import AdapterConfig


class Adapter:
    """Localized Latent Updates over a live set of anchors. Owned by one thread; does no I/O and reads no clock.

    One batch goes `predict`, `learn`, `maintain`, in this order. `maintain` is also called while nothing arrives, so
    that the last labels are fitted within `refit.max_age_s`.

    Args:
        text_vectors: float32 (C, d), unit; one per class.
        class_names: C distinct names, in the order of `text_vectors`.
        logit_scale: the model's logit scale (100 for CLIP).
        config: gate, anchors, refit, canaries, seed.
        device: where fits and maps are computed, as torch names it.

    Raises:
        VocabularyError: names and vectors do not fit together, or a canary is not a class.
    """

    def __init__(
        self,
        text_vectors: NDArray[np.float32],
        class_names: Sequence[str],
        logit_scale: float,
        config: AdapterConfig,
        *,
        device: str = "cpu",
    ) -> None:
        raise NotImplementedError

    def predict(self, vectors: NDArray[np.float32]) -> AdapterPrediction:
        """Predict a batch; changes nothing (but for statistics of the index).

        Args:
            vectors: float32 (B, d), unit; B may be 0.

        Raises:
            AnchorError: wrong shape, not finite or not unit.
        """
        raise NotImplementedError

    def learn(self, anchors: Sequence[Anchor]) -> LearnResult:
        """Take anchors in, in this order, then prune to the budgets. All are checked before anything changes.

        Raises:
            AnchorError: a vector is not finite, not unit or of the wrong length; nothing was learned.
        """
        raise NotImplementedError

    def forget(self, anchor_ids: Sequence[str]) -> ForgetResult:
        """Delete anchors; ids that are not there are reported, not an error."""
        raise NotImplementedError

    def maintain(self, executor: Executor, now_s: float) -> None:
        """Swap in what the background finished and start what is due; called between batches.

        Args:
            executor: runs refits and index rebuilds; not used for refits when `refit.background` is off.
            now_s: the caller's clock, seconds, monotonic.

        Raises:
            BaseException: whatever a background fit or rebuild raised.
        """
        raise NotImplementedError

    def anchors(self) -> Iterator[Anchor]:
        """All live anchors, by id; vectors as stored."""
        raise NotImplementedError

    @property
    def n_anchors(self) -> int:
        """How many anchors are live."""
        raise NotImplementedError

    @property
    def has_anchor(self) -> NDArray[np.bool_]:
        """Bool (C,): the classes that have anchors now."""
        raise NotImplementedError

    @property
    def anchors_digest(self) -> str:
        """Hex digest of the set of live anchors (id, label, float16 vector, time), whatever order they came in."""
        raise NotImplementedError

    @property
    def version(self) -> str:
        """Which maps answer: a function of the anchors at the fit, the vocabulary and the settings alone."""
        raise NotImplementedError

    @property
    def fit_number(self) -> int:
        """How many fits were swapped in so far."""
        raise NotImplementedError

    @property
    def fitted_at_s(self) -> float | None:
        """`now_s` of the call in which the current fit's anchors were taken; None before the first fit."""
        raise NotImplementedError

    @property
    def changes_since_fit(self) -> int:
        """Anchors added, replaced or removed that the current maps do not know yet."""
        raise NotImplementedError

    @property
    def index_statistics(self) -> IndexStatistics:
        """How the search for nearest anchors is doing."""
        raise NotImplementedError
