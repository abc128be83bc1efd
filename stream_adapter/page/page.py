"""The page's own side of a worker: it looks on, remembers what the charts show, and knows how the worker is."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from stream_adapter import __version__
from stream_adapter.config import PageConfig
from stream_adapter.drift.alarm import DriftAlarm
from stream_adapter.encode.base import Prepared
from stream_adapter.events import DriftEvent, ImageEvent, PredictionDocument
from stream_adapter.events.moved import Moved
from stream_adapter.journey.observing import DeletionRequest
from stream_adapter.journey.vocabulary import ClassesNow
from stream_adapter.metrics import Metrics
from stream_adapter.page.access import Access
from stream_adapter.page.figures import COLUMNS, Figures, sample_of
from stream_adapter.page.history import History
from stream_adapter.page.labelling import Labelling
from stream_adapter.page.pictures import Pictures
from stream_adapter.page.requests import RequestQueue, View
from stream_adapter.page.sampling import Sampler

log = structlog.get_logger(__name__)

_EVERY_S = 1.0
_ALARMS = 60
_MOVED = 2_000  # about 2 kB each
_WATCHED_FOR_S = 15.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change while a worker runs.

    Attributes:
        guard: "act" or "alarm_only".
        tolerance: the harm that is accepted, as a share.
        min_labels: labels below which a question has no answer.
    """

    encoder: str = ""
    guard: str = "act"
    tolerance: float = 0.01
    min_labels: int = 50


class Page:
    """An `Observer` with a thread of its own that reads the metrics once a second and makes the thumbnails.

    Attributes:
        vocabulary: hash of the classes that are in force.
        labelling: labels by way of the page, where they may come apart from their events.
    """

    def __init__(self, config: PageConfig, access: Access, metrics: Metrics, state: Callable[[], str]) -> None:
        self.access = access
        self.requests = RequestQueue(time.monotonic)
        self.history = History(COLUMNS)
        self.pictures = Pictures(config.keep_pictures, with_pictures=access.pictures)
        self.facts = Facts()
        self.vocabulary = ""
        self.labelling: Labelling | None = None
        self._figures = Figures(metrics, time.monotonic)
        self._sampler = Sampler(config.pictures_per_s, self._watched, time.monotonic)
        self._state = state
        self._started_ms = _now_ms()
        self._looked_at_s = float("-inf")
        self._alarms: deque[dict[str, Any]] = deque(maxlen=_ALARMS)
        self._alarm_number = 0
        self._moved: deque[Moved] = deque(maxlen=_MOVED)
        self._now: dict[str, Any] = self._figures.take()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def start(self) -> None:
        """Begin to remember."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and join it."""
        self._stopping.set()
        self._sampler.wake()
        self._thread.join(timeout=5.0)

    def open(self, facts: Facts, take: Callable[[bool], View]) -> None:
        """The models are loaded: from now on there is an adapter; `take` is called in its thread."""
        self.facts = facts
        self.requests.open(take)

    def on_batch(
        self, events: Sequence[ImageEvent], pictures: Sequence[Prepared], predictions: Sequence[PredictionDocument]
    ) -> None:
        """See `Observer.on_batch`."""
        self._sampler.on_batch(events, pictures, predictions)
        self._moved.extend(moved for moved in map(Moved.of, predictions) if moved is not None)

    def on_forgotten(self, anchor_ids: Sequence[str]) -> None:
        """See `Observer.on_forgotten`."""
        self.pictures.forget(anchor_ids)
        gone = frozenset(anchor_ids)
        self._moved = deque((one for one in self._moved if one.anchor_id not in gone), maxlen=_MOVED)

    def poll(self) -> Sequence[DeletionRequest]:
        """See `Observer.poll`."""
        deletions = self.requests.serve()
        for request in deletions:
            self.on_forgotten(request.anchor_ids)
        return deletions

    @property
    def moved(self) -> Sequence[Moved]:
        """The newest answers that labels moved; for any thread."""
        return list(self._moved)  # in one step, as far as other threads can see

    def on_classes(self, now: ClassesNow) -> None:
        """Other classes are in force."""
        self.vocabulary = now.hash

    def on_alarm(self, alarm: DriftAlarm) -> None:
        """Something was found, or the guard did something; called by the adapter's thread."""
        self._alarm_number += 1
        # A new list and not the old one changed: whoever shows it needs no lock.
        shown = {"number": self._alarm_number, **DriftEvent(alarm, _now_ms(), source="").to_json()}
        self._alarms = deque([*self._alarms, shown], maxlen=_ALARMS)

    def live(self, span: str, after_ms: int, picture: int, alarm: int, limit: int) -> dict[str, Any]:
        """What changed since somebody last asked: JSON, as `docs/page.schema.json` describes it.

        Args:
            span: of the charts, see `history.SPANS`.
            after_ms: points of the charts from this moment on.
            picture: pictures after this number.
            alarm: alarms after this number.
            limit: pictures at most, the newest.

        Raises:
            KeyError: there is no such span.
        """
        self._looked_at_s = time.monotonic()
        facts, figures = self.facts, self._now
        alarms = [one for one in self._alarms if one["number"] > alarm]
        drift = {"guard": facts.guard, "tolerance": facts.tolerance, "min_labels": facts.min_labels, "alarms": alarms}
        return {
            "time_ms": _now_ms(),
            "started_ms": self._started_ms,
            "state": self._state(),
            "versions": {"worker": __version__, "encoder": facts.encoder, "vocabulary": self.vocabulary},
            **figures,
            "drift": {**figures["drift"], **drift},
            "access": {
                "changes": self.access.changes,
                "pictures": self.access.pictures,
                "labels": self.labelling is not None,
            },
            "history": self.history.since(span, after_ms),
            "pictures": self.pictures.since(picture, limit),
        }

    def _watched(self) -> bool:
        return time.monotonic() - self._looked_at_s < _WATCHED_FOR_S

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._stopping.is_set():
            try:
                seen = self._sampler.take(max(0.0, min(due_s - time.monotonic(), _EVERY_S)))
                if seen is not None:
                    self.pictures.add(seen)
                if time.monotonic() >= due_s:
                    due_s = time.monotonic() + _EVERY_S
                    self._now = self._figures.take()
                    self.history.add(_now_ms(), sample_of(self._now))
            except Exception:
                log.warning("the page passed over something", exc_info=True)
                self._stopping.wait(_EVERY_S)


def _now_ms() -> int:
    """Milliseconds since the epoch."""
    return int(time.time() * 1000)
