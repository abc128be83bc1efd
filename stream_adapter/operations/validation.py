"""What can be known of a configuration without loading a model or asking a broker."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stream_adapter.config import Config
from stream_adapter.encode.loading import load_models
from stream_adapter.encode.prompts import class_prompts
from stream_adapter.encode.vocabulary import check_names
from stream_adapter.encode.vocabulary_file import VocabularyFile
from stream_adapter.errors import EncoderError, FingerprintMismatch, TransportError, VocabularyError
from stream_adapter.events.names import did_you_mean
from stream_adapter.operations.labels import come_apart
from stream_adapter.transport.files.source import check_input

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found.

    Attributes:
        problems: what keeps a worker from starting, or from doing what was asked for; one sentence each.
        notes: what a person may want to see: the classes as they were read, and what has no effect.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def examine(config: Config) -> Examination:
    """Look at everything that a valid configuration names: model, classes, canaries, groups and input."""
    found = Examination()
    d = None
    if config.encoder.type == "open_clip":
        from stream_adapter.encode.towers import check_encoder  # which loads torch

        try:
            d = check_encoder(config.encoder)
        except EncoderError as error:
            found.problems.append(f"encoder: {error}")
    try:
        names = _class_names(config, d)
    except (EncoderError, FingerprintMismatch, VocabularyError) as error:
        found.problems.append(f"vocabulary: {error}")
    else:
        found.notes.append(f"{len(names)} classes: {', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}")
        found.problems.extend(_about_classes(config, names))
        if "top_k" in config.batch.model_fields_set and config.batch.top_k > len(names):
            found.notes.append(f"`batch.top_k` is {config.batch.top_k}; predictions name all {len(names)} classes")
    if config.label_studio.secret and config.transport in ("kafka", "files") and not come_apart(config):
        found.problems.append(
            "label_studio: its labels have nowhere to go; set `files.labels_file` on `transport: files`, and "
            "`labels.wait_max_events` above 0"
        )
    if config.files is not None and config.transport == "files":
        try:
            check_input(config.files)
        except TransportError as error:
            found.problems.append(f"files: {error}")
    return found


def _class_names(config: Config, d: int | None) -> tuple[str, ...]:
    """The classes in order; `d` is the length of the encoder's vectors where it is known."""
    if config.encoder.type == "vectors":  # there is no model that would have to be loaded
        return load_models(config.encoder, config.vocabulary)[1].class_names
    if config.vocabulary.vectors is None:
        if config.encoder.pretrained_image is not None:
            raise VocabularyError(
                "`encoder.pretrained_image` is an image tower alone: it cannot turn class names into vectors; set "
                "`vocabulary.vectors`, or `encoder.pretrained` to a whole model"
            )
        return tuple(class_prompts(config.vocabulary))
    file = VocabularyFile.read(config.vocabulary.vectors)
    check_names(file.class_names)
    if d is not None and file.text_vectors.shape[1:] != (d,):
        raise VocabularyError(
            f"the class vectors in {file.path} have shape {file.text_vectors.shape}, those of {config.encoder.model!r} "
            f"are ({len(file.class_names)}, {d}); make them again with `stream-adapter classes build`"
        )
    return file.class_names


def _about_classes(config: Config, names: Sequence[str]) -> list[str]:
    """What other sections say of the classes, and is not so."""
    known = frozenset(names)
    named = [("adapter.canaries", config.adapter.canaries)]
    named += [(f"drift.groups.{group}", members) for group, members in config.drift.groups.items()]
    problems = [
        f"{key}: {name!r} is not a class{did_you_mean(name, names)}"
        for key, members in named
        for name in members
        if name not in known
    ]
    if known <= frozenset(config.adapter.canaries):
        problems.append("adapter.canaries: every class is a canary, so no label would ever be learned")
    times = Counter(name for members in config.drift.groups.values() for name in members)
    twice = [name for name, number in times.items() if number > 1]
    return problems + [f"drift.groups: {name!r} is in more than one group, or named twice" for name in twice]
