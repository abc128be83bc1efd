"""Predictions beside the stream: what is asked at the same time is embedded together, within a share of the time."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.config import PredictConfig
from stream_adapter.encode.base import Encoder, Prepared
from stream_adapter.errors import EventError, UnexpectedFailure, UnfetchableReference
from stream_adapter.events import EMBEDDING, PredictionDocument
from stream_adapter.events.reference import Reference
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.page.requests import Busy, View
from stream_adapter.references import References

log = structlog.get_logger(__name__)

_FRESH_S = 1.0
_BURST_S = 0.2


class Asked(NamedTuple):
    """A picture's bytes, those of a vector (`EMBEDDING`) of the encoder of this fingerprint, or where a picture is."""

    data: bytes
    content_type: str = ""
    fingerprint: str | None = None
    reference: Reference | None = None


Answered = PredictionDocument | EventError


@dataclass(eq=False, slots=True)
class _Question:
    """What somebody asked.

    Attributes:
        prepared: the pictures, once they are decoded.
        done: what is said about them.
        open: pictures that are not decoded yet.
    """

    prepared: Sequence["Future[Prepared]"]
    done: "Future[list[Answered]]"
    open: int


class Share:
    """So many seconds of work a second, and a moment's more at once.

    Args:
        share: 0..1; 1 is as much as there is.
        clock: monotonic seconds.
    """

    def __init__(self, share: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._clock = clock
        self._credit_s = _BURST_S
        self._seen_s = clock()

    def wait_s(self) -> float:
        """How long to wait before the next piece of work."""
        now_s = self._clock()
        self._credit_s = min(_BURST_S, self._credit_s + self._share * (now_s - self._seen_s))
        self._seen_s = now_s
        return 0.0 if self._share >= 1.0 else max(0.0, -self._credit_s / self._share)

    def spend(self, seconds: float) -> None:
        """A piece of work took so long."""
        self._credit_s -= seconds


class Answering:
    """A thread that answers; `ask` and `view` may be called by any.

    Args:
        settings: how much is answered at once, and in which share of the time.
        metrics: outcomes, latency, seconds of work.
    """

    def __init__(self, settings: PredictConfig, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._metrics = metrics
        self._clock = clock
        self._share = Share(settings.share, clock)
        self._room = threading.BoundedSemaphore(settings.max_waiting)  # of those that wait
        self._counting = threading.Lock()
        # Whose pictures are decoded: those of the others, which may have to come from far, keep nobody waiting.
        self._questions: queue.SimpleQueue[_Question] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="predict", daemon=True)
        self._view: View | None = None
        self._viewed_s = 0.0
        self._parts: tuple[Encoder, Processor, Executor] | None = None
        self._references: References | None = None

    def open(
        self, encoder: Encoder, processor: Processor, decoders: Executor, references: References | None = None
    ) -> None:
        """The models are loaded, and the anchors are there: begin to answer; without `references` none is fetched."""
        self._references = references
        self._parts = encoder, processor, decoders
        self._thread.start()

    def stop(self) -> None:
        """End the thread; questions that wait get no answer."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def ask(self, items: Sequence[Asked]) -> "Future[list[Answered]]":
        """What is said about each of these: a document as on the predictions topic, or why it cannot be used.

        Raises:
            Busy: too many questions wait.
        """
        if self._parts is None:
            raise Busy("the worker is still starting")
        if not self._room.acquire(blocking=False):
            raise Busy(f"{self.settings.max_waiting} requests wait already")
        encoder, _, decoders = self._parts
        fetchers = decoders if self._references is None else self._references.pool
        inline = InlineExecutor()  # a vector is checked sooner than another thread is woken
        prepared = [
            (inline if one.content_type == EMBEDDING else decoders if one.reference is None else fetchers).submit(
                self._prepare, encoder, one
            )
            for one in items
        ]
        question = _Question(prepared, Future(), len(prepared))
        question.done.set_running_or_notify_cancel()  # one who stops waiting must not end the thread
        for picture in prepared:
            picture.add_done_callback(lambda _: self._one_is_prepared(question))
        return question.done

    @property
    def encoder(self) -> str:
        """Fingerprint of the encoder; empty while it starts."""
        return "" if self._parts is None else self._parts[0].fingerprint

    @property
    def vocabulary(self) -> str:
        """Hash of the classes; empty while it starts."""
        return "" if self._parts is None else self._parts[1].parts.classes.now.hash

    def view(self) -> View:
        """The adapter as it is, or was a second ago; waits while a batch is learned.

        Raises:
            Busy: there is none yet.
        """
        if self._parts is None:
            raise Busy("the worker is still starting")
        if self._view is None or self._clock() - self._viewed_s >= _FRESH_S:
            self._view = self._parts[1].questions.look(View.of)
            self._viewed_s = self._clock()
        return self._view

    def _one_is_prepared(self, question: _Question) -> None:
        with self._counting:
            question.open -= 1
            if question.open:
                return
        self._questions.put(question)

    def _next(self, timeout_s: float) -> _Question:
        question = self._questions.get(timeout=timeout_s)
        self._room.release()
        return question

    def _run(self) -> None:
        waiting: _Question | None = None
        while not self._stopping.is_set():
            try:
                questions = [waiting or self._next(0.5)]
            except queue.Empty:
                continue
            waiting, number = None, len(questions[0].prepared)
            self._stopping.wait(self._share.wait_s())
            with contextlib.suppress(queue.Empty):
                while number < self.settings.max_batch:
                    waiting = self._next(0.0)
                    number += len(waiting.prepared)
                    if number <= self.settings.max_batch:
                        questions.append(waiting)
                        waiting = None
            try:
                self._answer(questions)
            except Exception as error:
                log.exception("a question could not be answered")
                for question in questions:
                    question.done.set_exception(error)

    def _spent(self, seconds: float) -> None:
        self._share.spend(seconds)
        self._metrics.http_compute.inc(seconds)

    def _answer(self, questions: Sequence[_Question]) -> None:
        assert self._parts is not None
        encoder, processor, _ = self._parts
        pictures: list[list[Prepared | EventError]] = [[_result(one) for one in of.prepared] for of in questions]
        usable = [one for of in pictures for one in of if not isinstance(one, EventError)]
        said: Iterator[PredictionDocument] = iter(())
        if usable:
            began_s = self._clock()
            vectors = encoder.encode(usable)
            self._spent(self._clock() - began_s)
            began_s = time.thread_time()  # waiting for a batch that is learned takes nothing from the stream
            said = iter(processor.questions.answer(vectors))
            self._spent(time.thread_time() - began_s)
        for question, of in zip(questions, pictures, strict=True):
            question.done.set_result([one if isinstance(one, EventError) else next(said) for one in of])

    def _prepare(self, encoder: Encoder, asked: Asked) -> Prepared:
        if asked.content_type == EMBEDDING:
            return encoder.check_vector(asked.data, asked.fingerprint)
        if asked.reference is None:
            return encoder.prepare(asked.data, asked.content_type)
        if self._references is None:
            raise UnfetchableReference("no references are fetched here; send the picture's bytes")
        return encoder.prepare(self._references.fetch(asked.reference), "")


def _result(prepared: "Future[Prepared]") -> "Prepared | EventError":
    try:
        return prepared.result()
    except EventError as error:
        return error
    except Exception as error:  # of one picture: others are asked about with it
        log.exception("a picture could not be prepared")
        return UnexpectedFailure("decode", error)
