"""The classes in force: those of the configuration, and what the classes topic makes of them.

They follow from the newest record of each name, in the order of these records in the topic, and from nothing else: all
workers come to the same, whenever they began to read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray

from stream_adapter.adapter.packing import Arrays, array_of, pack_strings, unpack_strings
from stream_adapter.encode.vocabulary import Vocabulary, class_digest, hash_of
from stream_adapter.events.class_record import ClassRecord

log = structlog.get_logger(__name__)


@dataclass(frozen=True, eq=False, slots=True)
class ClassesNow:
    """The classes at one moment.

    Attributes:
        names: C of them.
        texts: float32 (C, d), unit.
        hash: of names, texts and logit scale.
        canaries: those that are never learned.
        aliases: other names of classes, with the class.
        removed: names that were taken out.
    """

    names: tuple[str, ...]
    texts: NDArray[np.float32] = field(repr=False)
    hash: str
    canaries: frozenset[str]
    aliases: Mapping[str, str]
    removed: frozenset[str] = frozenset()

    def class_of(self, label: str) -> str:
        """The class that a label means; the label itself where it means none."""
        return self.aliases.get(label, label)

    @property
    def canary(self) -> NDArray[np.bool_]:
        """Bool (C,)."""
        return np.fromiter((name in self.canaries for name in self.names), np.bool_, len(self.names))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For a snapshot."""
        return {
            "classes.texts": self.texts,
            "classes.hash": np.frombuffer(self.hash.encode(), np.uint8),
            **pack_strings("classes.names", self.names),
            **pack_strings("classes.canaries", sorted(self.canaries)),
            **pack_strings("classes.aliases", list(self.aliases)),
            **pack_strings("classes.targets", list(self.aliases.values())),
        }

    @classmethod
    def of(cls, arrays: Arrays) -> "ClassesNow":
        """Read it back.

        Raises:
            ValueError: a part is missing, or they do not fit each other.
        """
        names = unpack_strings("classes.names", arrays)
        texts = array_of(arrays, "classes.texts", np.float32, dimensions=2)
        aliases = zip(unpack_strings("classes.aliases", arrays), unpack_strings("classes.targets", arrays), strict=True)
        if len(texts) != len(names):
            raise ValueError(f"{len(names)} classes with text vectors {texts.shape}")
        hash = array_of(arrays, "classes.hash", np.uint8).tobytes().decode(errors="replace")
        return cls(tuple(names), texts, hash, frozenset(unpack_strings("classes.canaries", arrays)), dict(aliases))


class LiveVocabulary:
    """Keeps the newest record of each name, and what follows. Belongs to one thread.

    Args:
        base: the configuration's classes.
        canaries: of the configuration.
    """

    def __init__(self, base: Vocabulary, canaries: Iterable[str]) -> None:
        self._base = dict(zip(base.class_names, base.text_vectors, strict=True))
        self._scale, self._dimension = base.logit_scale, base.d
        self._canaries = frozenset(canaries)
        self._records: dict[str, ClassRecord] = {}  # in the topic's order
        self._encoded: dict[str, NDArray[np.float32]] = {}
        self._failed: set[str] = set()
        self._digests: dict[str, tuple[NDArray[np.float32], bytes]] = {}
        self.now = self._work_out()

    def take(self, records: Iterable[tuple[str, ClassRecord | None]]) -> None:
        """Take in what the topic says, in its order; None is a name that is as configured."""
        for name, record in records:
            before = self._records.pop(name, None)
            if before is None or record is None or before.prompts != record.prompts:
                self._encoded.pop(name, None)
                self._failed.discard(name)
            if record is not None and (record.vector is None or len(record.vector) == self._dimension):
                self._records[name] = record
        self.now = self._work_out()

    def knows(self, name: str) -> bool:
        """Whether anything was said about a name."""
        return name in self._base or name in self._records

    @property
    def waiting(self) -> list[ClassRecord]:
        """Classes that have words and no vector yet."""
        return [
            record
            for name, record in self._records.items()
            if record.is_class and name not in self._failed and self._needs_text(record)
        ]

    def encoded(self, names: Sequence[str], vectors: Sequence[NDArray[np.float32]]) -> None:
        """The text vectors of names, each float32 (d,), are there."""
        self._encoded |= dict(zip(names, vectors, strict=True))
        self.now = self._work_out()

    def failed(self, names: Iterable[str]) -> None:
        """These cannot be encoded; they are not asked for again until something else is said of them."""
        self._failed.update(names)

    def _needs_text(self, record: ClassRecord) -> bool:
        words = record.prompts is not None or record.name not in self._base
        return words and record.vector is None and record.text_of is None and record.name not in self._encoded

    def _text(self, name: str) -> NDArray[np.float32] | None:
        record = self._records.get(name)
        if record is None:
            return self._base.get(name)
        if record.vector is not None:
            return record.vector
        if record.text_of is not None:
            return self._base.get(record.text_of)
        return self._encoded.get(name, self._base.get(name))

    def _work_out(self) -> ClassesNow:
        said = self._records
        texts: dict[str, NDArray[np.float32]] = {}
        for name in (*self._base, *(name for name in said if name not in self._base)):
            text = self._text(name)
            if text is not None and (name not in said or said[name].is_class):
                texts[name] = text
        if not texts:
            log.error("all classes were removed; those of the configuration stay", classes=len(self._base))
            said, texts = {}, self._base
        aliases = {name: end for name, one in said.items() if one.alias_of and (end := self._end(name)) in texts}
        removed = frozenset(name for name in said if (last := said.get(self._end(name))) is not None and last.removed)
        flags = {name: said[name].canary if name in said else None for name in texts}
        canaries = frozenset(n for n, flag in flags.items() if flag or (flag is None and n in self._canaries))
        names = tuple(texts)
        hash = hash_of([self._digest(name, texts[name]) for name in names], self._scale)
        return ClassesNow(names, np.stack([texts[name] for name in names]), hash, canaries, aliases, removed)

    def _end(self, name: str) -> str:
        """Where a chain of aliases ends: at a name that is none; at no name where it goes in a circle."""
        passed = set()
        while (record := self._records.get(name)) is not None and record.alias_of is not None:
            if name in passed:
                return ""
            passed.add(name)
            name = record.alias_of
        return name

    def _digest(self, name: str, text: NDArray[np.float32]) -> bytes:
        known = self._digests.get(name)
        if known is None or known[0] is not text:
            known = self._digests[name] = text, class_digest(name, text)
        return known[1]
