"""The library's front door: an adapter in a program or a notebook, in scikit-learn's words, and its state in a file."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor, Origin
from stream_adapter.adapter.learner import ClassKind
from stream_adapter.config import AdapterConfig
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.errors import AnchorError, SnapshotError, VocabularyError
from stream_adapter.events.image import id_of_vector
from stream_adapter.events.names import canonical_name
from stream_adapter.journey.explaining import Explaining
from stream_adapter.page.explaining import explain
from stream_adapter.snapshots import file

_KIND = "classifier"


class ClassScore(NamedTuple):
    """A class with its probability under both models, what it is taken for, and how present it is held to be."""

    label: str
    adapted: float
    zero_shot: float
    kind: ClassKind
    presence: float


class Neighbour(NamedTuple):
    """A labelled picture that is near, and its cosine with the one in question."""

    id: str
    label: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a picture gets its answer; as text, the sentences.

    Attributes:
        sentences: in plain words, the most important one first.
        top: the most probable classes, best first.
        anchors: the nearest labelled pictures, nearest first; their ids are what `Classifier.forget` takes.
        novelty: 0 (the vocabulary or an anchor explains the picture) .. 1 (neither does).
        unknown: whether it is held to be of no class; see `Classifier.unknown`.
    """

    sentences: tuple[str, ...]
    top: tuple[ClassScore, ...]
    anchors: tuple[Neighbour, ...]
    novelty: float
    unknown: bool | None

    def __str__(self) -> str:
        return "\n".join(self.sentences)


class Classifier:
    """A frozen CLIP that keeps learning: unit vectors in, class names out. For one thread.

    Predict first and learn second: what `learn` is given is in force at the next `predict`.

    Args:
        text_vectors: (C, d), a unit vector for each class, of CLIP's text tower.
        class_names: C distinct names.
        logit_scale: the model's (100 for CLIP).
        config: method, budgets, canaries.

    Raises:
        VocabularyError: names and vectors do not fit together, or a canary is not a class.
        ConfigError: there is no method of the configured name.

    Example:
        >>> texts = np.eye(2, 8, dtype=np.float32)
        >>> model = Classifier(texts, ["cat", "dog"], logit_scale=10.0)
        >>> model.predict(texts)
        ['cat', 'dog']
        >>> ids = model.learn(texts[:1], ["dog"])
        >>> model.predict(texts[:1])
        ['dog']
        >>> model.forget(ids) == ids
        True
    """

    def __init__(
        self,
        text_vectors: ArrayLike,
        class_names: Sequence[str],
        logit_scale: float = 100.0,
        config: AdapterConfig | None = None,
    ) -> None:
        self._config = config or AdapterConfig()
        names = tuple(canonical_name(str(name)) for name in class_names)  # of NumPy's texts, too
        self.vocabulary = Vocabulary(names, np.asarray(text_vectors, np.float32), logit_scale)
        self.adapter = Adapter(self.vocabulary.text_vectors, names, logit_scale, self._config)
        self._learned = 0
        self._newest_ms = 0

    @property
    def classes_(self) -> tuple[str, ...]:
        """The class names, in the order of `predict_proba`'s columns."""
        return self.vocabulary.class_names

    def predict_proba(self, vectors: ArrayLike) -> NDArray[np.float32]:
        """Probabilities, float32 (B, C), of unit vectors (B, d).

        Raises:
            AnchorError: a vector is not finite, not unit or of the wrong length.
        """
        return self.adapter.predict(_rows(vectors)).adapted

    def predict(self, vectors: ArrayLike) -> list[str]:
        """The most probable class of each of B unit vectors (B, d); raises as `predict_proba`."""
        return [self.classes_[best] for best in self.predict_proba(vectors).argmax(axis=1).tolist()]

    def unknown(self, vectors: ArrayLike) -> list[bool | None]:
        """Whether each of B unit vectors (B, d) is held to be of no class; None while labels are too few to tell.

        Of pictures of known classes at most the share `config.unknown_rate` is called so, if labels are a sample of
        them. Raises as `predict_proba`.
        """
        said = self.adapter.predict(_rows(vectors))
        return [None] * len(said.zero_shot) if said.unknown is None else said.unknown.tolist()

    def learn(
        self, vectors: ArrayLike, labels: Sequence[str | None] | None = None, ids: Sequence[str | int] | None = None
    ) -> list[str]:
        """Take in pictures that were seen, and the labels of those that have one; a later label of an id replaces.

        Args:
            vectors: (B, d), unit.
            labels: B class names, None where nobody knows; pictures without labels show which classes there are.
            ids: B ids, taken as texts; without them a hash of each vector, so that the same picture is the same id.

        Returns:
            The ids, for `forget`.

        Raises:
            AnchorError: a vector cannot be used, or there are not as many labels or ids; nothing was learned.
            VocabularyError: a label is no class; nothing was learned.
        """
        rows = _rows(vectors)
        given = [None] * len(rows) if labels is None else labels
        labels = [canonical_name(label) if isinstance(label, str) else label for label in given]
        if ids is None:
            ids = list(map(id_of_vector, rows))
        if any(id is None for id in ids):
            raise AnchorError("an id is None; leave `ids` out, or give each picture its own")
        names = [str(id) for id in ids]
        if not len(rows) == len(labels) == len(names):
            raise AnchorError(f"{len(rows)} vectors, {len(labels)} labels and {len(names)} ids; give as many of each")
        strange = {label for label in labels if label is not None} - set(self.classes_)
        if strange:
            said = ", ".join(sorted(map(repr, strange)))
            raise VocabularyError(f"labels that are no classes: {said}; see `classes_`")
        # The later call's label counts, also within a millisecond and where the clock was set back.
        now_ms = max(int(time.time() * 1000), self._newest_ms)
        anchors = [
            Anchor(id, row, label, now_ms, Origin(offset=self._learned + place))
            for place, (id, row, label) in enumerate(zip(names, rows, labels, strict=True))
            if label is not None
        ]
        self.adapter.update(names, rows, anchors)
        self._learned, self._newest_ms = self._learned + len(rows), now_ms
        return names

    def forget(self, ids: Sequence[str | int]) -> list[str]:
        """Take labels back, as if they had never been given; returns the ids that had one."""
        return [removed.anchor_id for removed in self.adapter.forget([str(id) for id in ids]).removed]

    def explain(self, vector: ArrayLike, top: int = 5) -> Explanation:
        """Why a picture, a unit vector (d,), gets its answer; raises as `predict_proba`."""
        prediction = self.adapter.predict(_rows(np.asarray(vector)[None]))
        (said,) = Explaining(self.vocabulary, "", top).describe(prediction)
        return Explanation(
            tuple(explain(said)),
            tuple(ClassScore(**score) for score in said["top"]),
            tuple(Neighbour(**anchor) for anchor in said["anchors"]),
            said["novelty"],
            said["unknown"],
        )

    def save(self, path: str | Path) -> None:
        """Write all that was learned, classes and settings into one checksummed safetensors file.

        Raises:
            SnapshotError: it cannot be written; what was there before is untouched.
        """
        facts = {
            "classes": list(self.classes_),
            "logit_scale": self.vocabulary.logit_scale,
            "config": self._config.model_dump(mode="json"),
            "learned": self._learned,
        }
        arrays: dict[str, NDArray[Any]] = {
            "text_vectors": self.vocabulary.text_vectors,
            **self.adapter.copy().finish().arrays(),
            **self.adapter.learner_state(),
        }
        file.write(Path(path), _KIND, file.Content(facts, arrays))

    @classmethod
    def load(cls, path: str | Path) -> "Classifier":
        """Read back what `save` wrote; it answers as the one that was saved.

        Raises:
            SnapshotError: it is not there, damaged, or not of this kind.
        """
        content = file.read(Path(path), _KIND)
        facts, arrays = content.facts, dict(content.arrays)
        try:
            config = AdapterConfig.model_validate(facts["config"])
            texts = np.asarray(arrays.pop("text_vectors"), np.float32)
            loaded = cls(texts, facts["classes"], float(facts["logit_scale"]), config)
            loaded._learned = int(facts["learned"])
        except (KeyError, TypeError, ValueError, ValidationError, VocabularyError) as error:
            raise SnapshotError(f"{path}: not as this version writes it: {error}") from error
        loaded.adapter.restore(arrays)
        loaded._newest_ms = max((anchor.event_time_ms for anchor in loaded.adapter.anchors), default=0)
        loaded.adapter.learn(())  # a graph, where that many want one
        return loaded


def _rows(vectors: ArrayLike) -> NDArray[np.float32]:
    return np.ascontiguousarray(vectors, np.float32)
