"""The exception tree: every error that the package raises on purpose.

    StreamAdapterError
    ├── ConfigError            the configuration is wrong; nothing was started
    ├── PluginError            nothing is registered under a name, or what is cannot be used
    ├── NotInstalled           a part of the package was asked for that an extra of its distribution brings
    ├── VocabularyError        class names, prompts or class vectors do not fit together
    ├── EncoderError           the model cannot be loaded or does not fit the vocabulary
    ├── FingerprintMismatch    vectors of two different encoders were about to meet
    ├── AnchorError            an anchor is unknown, not finite, not unit or of the wrong length
    ├── SnapshotError          a saved state cannot be written, or not be trusted
    ├── TransportError         the broker, topic or file cannot be used
    │   ├── Fenced             another worker took over this worker's identity
    │   └── Unreachable        nobody answers now; a worker that runs asks again
    ├── EvaluationError        features, methods or options of an evaluation cannot be used
    ├── OutputError            a command's standard output or error output cannot be written
    ├── DeadLetterLimitExceeded  nothing but bad events came since the start; the worker stops
    └── EventError             one event cannot be used; it goes to the dead letters, the worker goes on
        ├── MalformedEvent         stage "parse": envelope, headers, content type
        │   └── NewerFormat        a newer version of this package wrote it
        ├── UnfetchableReference   stage "fetch": what the event refers to is not allowed, or cannot be had
        ├── UndecodableImage       stage "decode": not an image, truncated, too large
        ├── ForeignVector          stage "encode": an embedding of another encoder, or not a unit vector
        ├── UnknownLabel           stage "label": the label is not in the vocabulary
        ├── LabelWithoutEvent      stage "label": a label that came alone, and whose event is not known
        └── UnexpectedFailure      any stage: an exception that nobody foresaw, of which the message names the class

An `EventError` is somebody's data and never stops the worker; all others do, with a message that says what
failed, the value, and what to do.
"""

import contextlib
from collections.abc import Iterator


class StreamAdapterError(Exception):
    """Base of every error that the package raises on purpose."""


class ConfigError(StreamAdapterError):
    """The configuration is wrong.

    Attributes:
        problems: every problem found, one sentence each; never empty.
    """

    def __init__(self, problems: list[str], source: str = "configuration") -> None:
        self.problems = problems
        self.source = source
        listing = "\n".join(f"  - {problem}" for problem in problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{source}: {count}\n{listing}")


class PluginError(StreamAdapterError):
    """No learner, encoder or transport is registered under a name, or it cannot be loaded."""


_EXTRAS = {
    **dict.fromkeys(("torch", "torchvision", "open_clip", "simplejpeg", "hnswlib"), "worker"),
    **dict.fromkeys(("starlette", "uvicorn", "PIL"), "page"),
    "httpcore2": "worker",
    "matplotlib": "demo",
    "obstore": "s3",
}


class NotInstalled(StreamAdapterError):
    """A part of the package was asked for that an extra brings; the message names it."""

    @classmethod
    def of(cls, error: ModuleNotFoundError) -> "NotInstalled | None":
        """The error for a module that is missing; None where no extra brings it."""
        name = (error.name or "").partition(".")[0]
        if name not in _EXTRAS:
            return None
        return cls(f"{name} is not installed; it comes with `pip install 'stream-adapter[{_EXTRAS[name]}]'`")


@contextlib.contextmanager
def naming_extras() -> Iterator[None]:
    """What is missing and an extra brings is a `NotInstalled` here."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (missing := NotInstalled.of(error)) is None:
            raise
        raise missing from error


class VocabularyError(StreamAdapterError):
    """Class names, prompts or class vectors do not fit together."""


class EncoderError(StreamAdapterError):
    """The model cannot be loaded or does not fit the vocabulary."""


class FingerprintMismatch(StreamAdapterError):
    """Vectors of two different encoders were about to meet in one index."""


class AnchorError(StreamAdapterError):
    """An anchor is unknown, not finite, not unit or of the wrong length."""


class SnapshotError(StreamAdapterError):
    """A saved state cannot be written, is damaged, or does not fit what would be restored from it."""


class TransportError(StreamAdapterError):
    """The broker, topic or file cannot be used."""


class Fenced(TransportError):
    """Another worker took over this worker's identity."""


class Unreachable(TransportError):
    """Nobody answers now. What was asked for can be asked for again; a running worker does, until it is answered."""


class EvaluationError(StreamAdapterError):
    """Features, methods or options of an evaluation cannot be used."""


class OutputError(StreamAdapterError):
    """What a command has to say cannot be written: the disk is full, say."""


class DeadLetterLimitExceeded(StreamAdapterError):
    """Nothing but bad events came since the start: a fault of the producer or of the set-up, not of single events."""


class EventError(StreamAdapterError):
    """One event cannot be used. It goes to the dead letters; the worker goes on.

    Attributes:
        stage: where on the journey it was refused, as written to the dead letter's headers.
    """

    stage: str = "unknown"


class MalformedEvent(EventError):
    """The envelope cannot be read: headers, content type or structured JSON."""

    stage = "parse"


class NewerFormat(MalformedEvent):
    """A record of a format that this version does not know; it is left alone."""


class UnfetchableReference(EventError):
    """The picture is stored elsewhere, and may not or cannot be fetched."""

    stage = "fetch"


class UndecodableImage(EventError):
    """The bytes are not an image that may be decoded."""

    stage = "decode"


class ForeignVector(EventError):
    """An embedding event whose vector comes from another encoder or is not a unit vector."""

    stage = "encode"


class UnknownLabel(EventError):
    """The label is not a class of the vocabulary and the policy is `reject`."""

    stage = "label"


class LabelWithoutEvent(EventError):
    """A label that came apart from its event, of which nothing is known, or nothing any more."""

    stage = "label"


class UnwritablePrediction(EventError):
    """What was predicted is larger than its topic takes."""

    stage = "commit"


class UnexpectedFailure(EventError):
    """Something that is not foreseen was raised about one event: a fault of ours, which must not stop a stream."""

    def __init__(self, stage: str, error: Exception) -> None:
        self.stage = stage
        self.error = error
        super().__init__(f"unexpected {type(error).__name__}: {error}")


# What nobody foresaw may happen at any stage; a fault of ours is laid to the event that shows it.
STAGES = tuple(
    sorted({kind.stage for kind in EventError.__subclasses__()} - {EventError.stage} | {"predict", "explain", "learn"})
)
"""Where an event can be refused."""
