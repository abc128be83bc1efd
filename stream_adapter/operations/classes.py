"""Classes from an operator's side: what there is, and what is said of it to all workers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_adapter.config import Config
from stream_adapter.encode.loading import ClassTexts, class_names
from stream_adapter.encode.vocabulary_file import VocabularyFile
from stream_adapter.errors import EncoderError, MalformedEvent, VocabularyError
from stream_adapter.events.class_record import ClassRecord, checked_name, unit_vector
from stream_adapter.events.names import did_you_mean
from stream_adapter.journey.classes import changes_of
from stream_adapter.numpy_files import read_npy
from stream_adapter.operations.anchors import read_anchors, whoever
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import read_all


@dataclass(frozen=True, slots=True)
class ClassLine:
    """One name, for a list.

    Attributes:
        state: "class", or what else the name is: "removed", "alias", or "lost", an alias of nothing.
        configured: whether the configuration has it.
        by: who said so last; empty for a name of the configuration that nobody spoke of.
    """

    name: str
    state: str
    alias_of: str | None = None
    canary: bool = False
    text: str = ""
    configured: bool = False
    by: str = ""


class KnownClasses:
    """What the names are: the configuration, and the newest of each name in the classes topic."""

    def __init__(self, config: Config) -> None:
        self.base = class_names(config.vocabulary)
        self.said: Mapping[str, ClassRecord] = changes_of(read_all(transport_of(config), "classes"))
        self._canaries = frozenset(config.adapter.canaries)

    def lines(self) -> list[ClassLine]:
        """All names: those of the configuration first, then as they came."""
        return [self._line(name) for name in dict.fromkeys((*self.base, *self.said))]

    def is_class(self, name: str) -> bool:
        """Whether the name is a class now."""
        record = self.said.get(name)
        return name in self.base if record is None else record.is_class

    @property
    def names(self) -> list[str]:
        """The classes."""
        return [name for name in dict.fromkeys((*self.base, *self.said)) if self.is_class(name)]

    def require(self, name: str) -> str:
        """The canonical form of a name that must be a class."""
        name = canonical(name)
        if self.is_class(name):
            return name
        record = self.said.get(name)
        if record is not None and record.alias_of is not None:
            raise VocabularyError(f"{name!r} is only another name of {self.meant(name)!r}; give that")
        what = "was removed" if record is not None else "is not a class"
        raise VocabularyError(f"{name!r} {what}{did_you_mean(name, self.names)} (all: `stream-adapter classes list`)")

    def meant(self, label: str) -> str:
        """The name at which a chain of aliases ends; the last one of a circle."""
        passed = set()
        while (record := self.said.get(label)) is not None and record.alias_of is not None and label not in passed:
            passed.add(label)
            label = record.alias_of
        return label

    def is_canary(self, name: str) -> bool:
        """Whether a class is a canary."""
        said = self.said.get(name)
        return name in self._canaries if said is None or said.canary is None else said.canary

    def _line(self, name: str) -> ClassLine:
        record, configured = self.said.get(name), name in self.base
        if record is None:
            return ClassLine(name, "class", None, self.is_canary(name), "configuration", configured)
        if record.removed:
            return ClassLine(name, "removed", configured=configured, by=record.source)
        if record.alias_of is not None:
            end = self.meant(name)
            state = "alias" if self.is_class(end) else "lost"
            return ClassLine(name, state, end, configured=configured, by=record.source)
        words = "templates" if not configured else "configuration"
        text = "vector" if record.vector is not None else "prompts" if record.prompts is not None else words
        text = text if record.text_of is None else f"of {record.text_of}"
        return ClassLine(name, "class", None, self.is_canary(name), text, configured, record.source)


def canonical(name: str) -> str:
    """A class's name as it counts."""
    try:
        return checked_name(name)
    except MalformedEvent as error:
        raise VocabularyError(str(error)) from error


def add_classes(
    config: Config,
    names: Sequence[str],
    *,
    prompts: Sequence[str] | None = None,
    vector: Path | None = None,
    canary: bool | None = None,
    replace: bool = False,
) -> list[ClassRecord]:
    """Add classes; each gets its text vector here, so that all workers have the same.

    Args:
        config: the model that encodes.
        names: of the classes.
        prompts: that describe them, in place of the configured templates.
        vector: an .npy file with the text vector of the only one.
        canary: whether they are scored and never learned; None: as configured.
        replace: what there is already gets another text, where one is given, or another flag.
    """
    known, wanted = KnownClasses(config), list(dict.fromkeys(map(canonical, names)))
    there = [name for name in wanted if known.is_class(name)]
    if there and not replace:
        raise VocabularyError(f"{there[0]!r} is a class already; `--replace` gives it another text or canary flag")
    if vector is not None and (len(wanted) != 1 or prompts is not None):
        raise VocabularyError("`--vector` is the text vector of one class, and takes the place of prompts")
    _check_old_names(config, known, wanted)
    keeps = {name for name in there if vector is None and prompts is None}
    texts: dict[str, NDArray[np.float32]] = {}
    if vector is not None:
        texts = {wanted[0]: _read_vector(vector, *_length(config, known, wanted[0]))}
    elif encoded := [name for name in wanted if name not in keeps]:
        texts = dict(zip(encoded, _encode(config, encoded, prompts), strict=True))
    records = []
    for name in wanted:
        before = known.said.get(name)
        if name in keeps:
            kept = before or ClassRecord(name)
            flag = kept.canary if canary is None else canary
            records.append(ClassRecord(name, kept.vector, kept.prompts, kept.text_of, flag, source=_source()))
        else:
            records.append(ClassRecord(name, texts[name], canary=canary, source=_source()))
    return _say(config, records)


def rename_class(config: Config, name: str, to: str) -> list[ClassRecord]:
    """Give a class another name; anchors and text vector stay, and labels with the old name go on meaning it."""
    known = KnownClasses(config)
    name, to = known.require(name), canonical(to)
    if known.is_class(to):
        raise VocabularyError(f"{to!r} is a class already; `stream-adapter classes merge` makes one of two")
    if known.meant(to) != name:
        _check_old_names(config, known, [to])
    before = known.said.get(name) or ClassRecord(name)
    words = before.vector is None and before.prompts is None and before.text_of is None
    if words and name not in known.base:
        raise VocabularyError(f"{name!r} waits for its text vector; rename it when it is there")
    text_of = name if words else before.text_of
    new = ClassRecord(to, before.vector, before.prompts, text_of, known.is_canary(name) or None, source=_source())
    # Newest first: whoever reads only half of it has two classes for a moment, and not none.
    return _say(config, [new, ClassRecord(name, alias_of=to, source=_source())])


def merge_classes(config: Config, names: Sequence[str], into: str) -> list[ClassRecord]:
    """Make classes part of another one: their anchors are its, and labels with their names go on meaning it."""
    known = KnownClasses(config)
    into = known.require(into)
    merged = list(dict.fromkeys(map(known.require, names)))
    if into in merged:
        raise VocabularyError(f"{into!r} cannot be merged into itself")
    return _say(config, [ClassRecord(name, alias_of=into, source=_source()) for name in merged])


def anchors_of(config: Config, names: Sequence[str]) -> Counter[str]:
    """How many anchors classes have, by the class that their labels mean."""
    known = KnownClasses(config)
    counts = Counter(known.meant(canonical(anchor.label)) for anchor in read_anchors(config).values())
    return Counter({name: counts[name] for name in map(known.require, names)})


def remove_classes(config: Config, names: Sequence[str]) -> list[ClassRecord]:
    """Take classes out: nothing is predicted as one any more, and workers delete their anchors."""
    known = KnownClasses(config)
    gone = list(dict.fromkeys(map(known.require, names)))
    if set(known.names) <= set(gone):
        raise VocabularyError("no class would be left")
    return _say(config, [ClassRecord(name, removed=True, source=_source()) for name in gone])


def _check_old_names(config: Config, known: KnownClasses, names: Iterable[str]) -> None:
    """A name that meant something else, or was removed, is free once no anchor has it any more."""
    old = {name for name in names if name in known.said and not known.said[name].is_class}
    if not old:
        return
    counts = Counter(canonical(anchor.label) for anchor in read_anchors(config).values())
    for name in sorted(old):
        if counts[name]:
            what = "deleted" if known.said[name].removed else "renamed"
            raise VocabularyError(
                f"{counts[name]} anchors of the former class {name!r} are not {what} yet and would be those of the new "
                "one; a worker that runs does it within about 10 s"
                + (f", or delete them: `stream-adapter anchors delete --label {name!r}`" if what == "deleted" else "")
            )


def _encode(config: Config, names: Sequence[str], prompts: Sequence[str] | None) -> NDArray[np.float32]:
    try:
        return ClassTexts(config.encoder, config.vocabulary)([(name, prompts) for name in names])
    except EncoderError as error:
        raise VocabularyError(f"{names[0]!r} needs a text vector, give it with `--vector FILE`: {error}") from error


def _length(config: Config, known: KnownClasses, name: str) -> tuple[int | None, str]:
    """How long text vectors are, as far as that is known without a model, and who says so."""
    if config.encoder.type == "vectors":
        return int(config.encoder.options.d), "`encoder.options.d`"
    if config.vocabulary.vectors is not None:
        return VocabularyFile.read(config.vocabulary.vectors).text_vectors.shape[-1], "`vocabulary.vectors`"
    others = [one for one in known.said.values() if one.vector is not None and one.name != name]
    lengths = Counter(len(one.vector) for one in others if one.vector is not None)
    if not lengths:
        return None, ""
    return lengths.most_common(1)[0][0], "the classes that were added before"


def _read_vector(path: Path, length: int | None, says: str) -> NDArray[np.float32]:
    try:
        vector = unit_vector(read_npy(path), f"the vector in {path}")
    except (OSError, ValueError, MalformedEvent) as error:
        raise VocabularyError(
            f"{error}; `--vector` needs a file as `numpy.save` writes it, with one unit vector of the text tower"
        ) from error
    if length is not None and len(vector) != length:
        raise VocabularyError(
            f"the vector in {path} has {len(vector)} numbers, those of {says} have {length}; it is of another model"
        )
    return vector


def _say(config: Config, records: list[ClassRecord]) -> list[ClassRecord]:
    transport_of(config).write([record.to_record() for record in records])
    return records


def _source() -> str:
    """CloudEvents' `source`."""
    return f"stream-adapter/{whoever()}"
