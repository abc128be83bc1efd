"""The adapter: a learner and its anchors behind one object. Unit vectors and labels in, probabilities out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor, check_vectors
from stream_adapter.adapter.anchors.anchors import Anchors, Change
from stream_adapter.adapter.anchors.ownership import EVERYTHING, Ownership, key_of
from stream_adapter.adapter.anchors.results import ForgetResult, IndexStatistics, LearnResult
from stream_adapter.adapter.anchors.state import AnchorsCopy
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.learner import Answer, ClassKind, Events, Learner, LearnerContext, Records
from stream_adapter.adapter.learners import Learners, make_learner, update_learner
from stream_adapter.adapter.packing import Arrays
from stream_adapter.adapter.prediction import Prediction, nearness_of
from stream_adapter.adapter.unknown import UnknownRule
from stream_adapter.config import AdapterConfig
from stream_adapter.errors import AnchorError, VocabularyError


class Adapter:
    """Learns from a live set of anchors and from the traffic. Owned by one thread; does no I/O.

    One batch goes `predict`, then `update`: the traffic, and the anchors made of the labels that are known now. Labels
    are in force at the next `predict`; what asks the traffic anew follows within a second of the context's clock,
    without one at once. `update` with nothing is for moments in which nothing arrives.

    Args:
        text_vectors: float32 (C, d), unit; one per class.
        class_names: C distinct names, in the order of `text_vectors`.
        logit_scale: the model's logit scale (100 for CLIP).
        config: method, anchors, canaries, seed.
        context: clock, background, device and slot of the process.
        guard: makes another learner of the learner, for one that holds answers back where they do harm.

    Raises:
        VocabularyError: names and vectors do not fit together, or a canary is not a class.
        ConfigError: there is no method of the configured name, or its settings cannot be used.

    Example:
        >>> texts = np.eye(2, 8, dtype=np.float32)
        >>> adapter = Adapter(texts, ["cat", "dog"], logit_scale=10.0)
        >>> picture = texts[:1]
        >>> adapter.predict(picture).adapted.argmax(axis=1)
        array([0])
        >>> adapter.learn([Anchor("event-1", picture[0], "dog", event_time_ms=0)]).added
        ('event-1',)
        >>> adapter.n_anchors
        1
    """

    def __init__(
        self,
        text_vectors: NDArray[np.float32],
        class_names: Sequence[str],
        logit_scale: float = 100.0,
        config: AdapterConfig | None = None,
        *,
        context: LearnerContext | None = None,
        guard: Callable[[Learner], Learner] = lambda learner: learner,
    ) -> None:
        config = config or AdapterConfig()
        self.classes = Classes(tuple(class_names), np.array(text_vectors, np.float32), logit_scale)
        for kind, named in (("canaries", config.canaries), ("classes in adapter.protect", config.protect)):
            if missing := sorted(set(named) - set(class_names)):
                raise VocabularyError(f"{kind} that are not in the vocabulary: {', '.join(missing)}")
        context = context or LearnerContext(seed=config.seed)
        self._config = config
        self._background = context.background or InlineExecutor()
        self.anchors = Anchors(self.classes, config.canaries, config.anchors, config.seed)
        self._learner = guard(make_learner(config.method, self.classes, self.anchors, config, context))
        self._unknown = UnknownRule(self.classes, self.anchors, config.unknown_rate)
        beside = None
        if config.shadow is not None:
            # Its records would be taken for the learner's; it learns from this process's own traffic.
            alone = LearnerContext(context.clock, context.background, context.device, seed=config.seed)
            beside = make_learner(config.shadow, self.classes, self.anchors, config, alone)
        self._learners = Learners(self._learner, beside, config.shadow)

    def predict(self, vectors: NDArray[np.float32]) -> Prediction:
        """Predict a batch; changes nothing (but for statistics of the index).

        Args:
            vectors: float32 (B, d), unit; B may be 0.

        Raises:
            AnchorError: wrong shape, not finite or not unit.
        """
        # An array of its own: what was found for an array is not looked up again, and callers reuse theirs.
        vectors = np.ascontiguousarray(vectors, np.float32).view()
        check_vectors(vectors, self.dimension, "row {} of the batch".format)
        answer = self._learner.predict(vectors)
        near = self.anchors.nearest(vectors, self._config.anchors.neighbours)
        nearness = nearness_of(near.cosines[:, :1].max(axis=1, initial=-np.inf))  # (B,)
        none_of_these = self._unknown.scores(vectors, answer.zero_shot.argmax(axis=1), nearness)
        threshold = self._unknown.threshold(self._learner.version)
        explained = np.maximum(answer.zero_shot.max(axis=1, initial=0.0), nearness)  # by a text or by an anchor
        slots = self.anchors.slots_of(near.rows)  # (B, k)
        return Prediction(
            zero_shot=answer.zero_shot,
            undamped=answer.undamped,
            adapted=answer.adapted,
            gate=nearness,
            novelty=np.clip(1.0 - explained, 0.0, 1.0),
            none_of_these=none_of_these,
            unknown=None if threshold is None else none_of_these > threshold,
            neighbour_rows=near.rows,
            neighbour_ids=self.anchors.ids_at(slots),
            neighbour_classes=self.anchors.classes_at(slots),
            neighbour_cosines=near.cosines,
            has_anchor=self.has_anchor,
            standing=self._learner.standing(),
            version=self.version,
        )

    def shadow_answer(self, vectors: NDArray[np.float32]) -> Answer | None:
        """What the method in the shadow says about the same events; None where there is none, or it failed."""
        vectors = np.ascontiguousarray(vectors, np.float32).view()
        return self._learners.in_shadow(lambda shadow: shadow.predict(vectors))

    def update(
        self,
        event_ids: Sequence[str],
        vectors: NDArray[np.float32],
        anchors: Sequence[Anchor] = (),
        owned: Ownership = EVERYTHING,
    ) -> LearnResult:
        """Take in a batch of traffic and the anchors made of labels, in their order; then prune to the budgets.

        All of it or, if this raises, nothing.

        Args:
            event_ids: B ids, those of the anchors that are or will be made of the events.
            vectors: float32 (B, d), unit, of the events.
            anchors: labels that are known now, of these or of earlier events.
            owned: the anchors that may be pruned here; others that have to go are left to whoever owns them.

        Raises:
            AnchorError: a vector is not finite, not unit or of the wrong length; nothing was learned.
        """
        vectors = np.ascontiguousarray(vectors, np.float32)
        if len(event_ids) != len(vectors):
            raise AnchorError(f"{len(event_ids)} event ids for {len(vectors)} vectors")
        check_vectors(vectors, self.dimension, lambda row: f"event {event_ids[row]}")
        change = self.anchors.take_in(anchors, owned)
        keys = np.fromiter(map(key_of, event_ids), np.uint64, len(event_ids))
        events, labels = Events(keys, vectors), change.new
        try:
            self._learners.update(change.gone, events, labels)
        except Exception:
            self._take_back(change)
            raise
        self.anchors.maintain(self._background)
        return change.result

    def learn(self, anchors: Sequence[Anchor], owned: Ownership = EVERYTHING) -> LearnResult:
        """Learn labels alone; see `update`."""
        return self.update((), np.zeros((0, self.dimension), np.float32), anchors, owned)

    def follow(self, anchors: Sequence[Anchor], records: Records | None = None) -> LearnResult:
        """Take in anchors that were decided on elsewhere, and what workers published, this one included.

        Of one id the largest stamp stays; nothing is pruned.

        Raises:
            AnchorError: as `update`.
        """
        change = self.anchors.put(anchors)
        self._learners.follow(change.gone, change.new, records or {})
        return change.result

    def forget(self, anchor_ids: Sequence[str]) -> ForgetResult:
        """Delete anchors; ids that are not there are reported, not an error."""
        result, gone = self.anchors.remove(anchor_ids)
        self._learners.forget(gone)
        return result

    def set_classes(
        self,
        text_vectors: NDArray[np.float32],
        class_names: Sequence[str],
        renamed: Mapping[str, str] | None = None,
        canaries: Collection[str] | None = None,
    ) -> list[Anchor]:
        """Go over to another vocabulary; anchors that have no class in it are forgotten.

        Args:
            text_vectors: float32 (C, d), unit.
            class_names: C distinct names.
            renamed: former name to new name, of classes that are called otherwise now or merged into another one.
            canaries: those of the names that are never learned; None: as before.

        Returns:
            The anchors that were forgotten.

        Raises:
            VocabularyError: names and vectors do not fit together; nothing has changed.
        """
        classes = Classes(tuple(class_names), np.array(text_vectors, np.float32), self.classes.logit_scale)
        if (d := classes.dimension) != self.dimension:
            raise VocabularyError(f"text vectors have {d} numbers, expected {self.dimension}: another encoder's?")
        renamed = dict(renamed or {})
        canaries = self.anchors.canaries if canaries is None else canaries
        former = classes.former(self.classes, renamed)
        homeless = self.anchors.homeless(classes, renamed, canaries)
        forgotten = [anchor for anchor in map(self.anchors.get, homeless) if anchor is not None]
        _, gone = self.anchors.remove(homeless)
        self._learners.forget(gone)
        self.anchors.set_classes(classes, renamed, canaries)
        self.classes = classes
        self._unknown.set_classes(classes)
        self._learners.each(lambda learner: learner.set_classes(classes, former))
        return forgotten

    def records(self) -> Mapping[str, bytes]:
        """What the other workers should be told and were not yet, by key; to be handed to `follow` once written."""
        return self._learner.records()

    def copy(self) -> AnchorsCopy:
        """Begin to copy the anchors, for a snapshot; see `AnchorsCopy`."""
        return self.anchors.copy()

    def learner_state(self) -> dict[str, NDArray[Any]]:
        """What the learner knows beside the anchors, for a snapshot."""
        return {f"learner.{name}": array for name, array in self._learner.state().items()}

    def restore(self, arrays: Arrays) -> None:
        """Take over the anchors of a copy and the state of a learner, in place of what is there.

        Raises:
            SnapshotError: the arrays do not fit together, or not to the vocabulary; of the anchors nothing has changed.
        """
        before = self.anchors.columns
        self.anchors.restore(arrays)  # into arrays of its own
        self._unknown = UnknownRule(self.classes, self.anchors, self._config.unknown_rate)
        self._learners.forget(before)
        own = {name.removeprefix("learner."): array for name, array in arrays.items() if name.startswith("learner.")}
        self._learner.restore(own)
        self._learners.each(lambda learner: learner.follow(self.anchors.columns, {}))

    @property
    def dimension(self) -> int:
        """d, the length of vectors."""
        return self.classes.dimension

    @property
    def n_anchors(self) -> int:
        """How many anchors are live."""
        return len(self.anchors)

    @property
    def has_anchor(self) -> NDArray[np.bool_]:
        """Bool (C,): the classes that have anchors now."""
        return self.anchors.counts > 0

    @property
    def anchors_digest(self) -> str:
        """Hex digest of the set of live anchors (id, label, float16 vector, time), whatever order they came in."""
        return self.anchors.digest

    @property
    def version(self) -> str:
        """What answers: a function of the anchors, what the learner knows of the traffic, and the settings."""
        return f"{self.n_anchors}-{self.anchors_digest[:12]}-{self._learner.version}"

    @property
    def kinds(self) -> Sequence[ClassKind]:
        """What each of the C classes is taken for now."""
        return self._learner.standing().kinds

    @property
    def presence(self) -> NDArray[np.float32]:
        """Float32 (C,) in (0, 1]: how far each class is held to be in the traffic; 1 for labelled ones."""
        return self._learner.standing().presence

    @property
    def pending(self) -> int:
        """Changes that predictions do not know yet."""
        return self._learner.pending

    @property
    def index_statistics(self) -> IndexStatistics:
        """How the search for nearest anchors is doing."""
        return self.anchors.index_statistics

    def _take_back(self, change: Change) -> None:
        """The learner refused a change, which it had not begun: the anchors are as they were before."""
        self.anchors.remove(self.anchors.ids_at(self.anchors.slots_of(change.new.rows)).tolist())
        back = self.anchors.put(list(change.result.before.values()))
        labels, none = back.new, Events.none(self.dimension)
        self._learner.follow(labels, {})
        self._learners.in_shadow(lambda shadow: update_learner(shadow, change.gone, none, labels))
