"""Watching: harm is found, held back, reported, and remembered."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from stream_adapter.adapter.learner import Standing
from stream_adapter.adapter.prediction import Prediction
from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.settings import DriftSettings
from stream_adapter.events import DriftEvent, ImageEvent
from stream_adapter.journey.watching import Watching
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import OutRecord, Partition, Record
from tests.events.test_drift import SCHEMA
from tests.fakes import CANARY, CLASSES, D, unit

N = len(CLASSES)
CANARY_MASK = np.array([name == CANARY for name in CLASSES])
HOUSE, CAT = CLASSES.index(CANARY), CLASSES.index("cat")


class Stream:
    """Batches of canaries that zero-shot knows and a harmful learner takes for cats."""

    def __init__(self, *, mode: str = "act", status_every_s: float = 60.0) -> None:
        self.metrics = Metrics()
        settings = DriftSettings(mode=mode, min_labels=20, reference_events=64)  # type: ignore[arg-type]
        self.watching = Watching(
            lambda: DriftMonitor(CLASSES, 100.0, CANARY_MASK, settings),
            source="stream_adapter/test",
            status_every_s=status_every_s,
            metrics=self.metrics,
        )
        self._rng = np.random.default_rng(0)
        self._seen = 0

    def prediction(self, count: int) -> Prediction:
        zero_shot, undamped = probabilities(HOUSE, count), probabilities(CAT, count)
        return Prediction(
            zero_shot=zero_shot,
            undamped=undamped,
            adapted=self.watching.guard.damp(zero_shot, undamped),
            none_of_these=np.zeros(count, np.float32),
            unknown=None,
            gate=np.full(count, 0.5, np.float32),
            novelty=np.full(count, 0.1, np.float32),
            neighbour_rows=np.zeros((count, 1), np.int64),
            neighbour_ids=np.full((count, 1), "a", np.object_),
            neighbour_classes=np.full((count, 1), CAT, np.int64),
            neighbour_cosines=np.full((count, 1), 0.9, np.float32),
            has_anchor=np.arange(N) == CAT,
            standing=Standing(["dormant"] * N, np.ones(N, np.float32)),
            version="v",
        )

    def batch(self, count: int = 16) -> tuple[Prediction, list[OutRecord]]:
        """What is published of one batch, and what is reported."""
        vectors = unit(self._rng.normal(size=(count, D)))
        events = [event(self._seen + row) for row in range(count)]
        self._seen += count
        published = self.prediction(count)
        return published, self.watching.observe(events, vectors, published, np.full(count, HOUSE))

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"stream_adapter_{name}", labels)


def probabilities(label: int, count: int) -> NDArray[np.float32]:
    row = np.full(N, 0.1 / (N - 1), np.float32)
    row[label] = 0.9
    return np.tile(row, (count, 1))


def event(number: int) -> ImageEvent:
    record = Record(Partition("images", 0), number, 0, None, b"")
    return ImageEvent("/s", f"event-{number}", 1_000 + number, "image/jpeg", b"", CANARY, None, record)


def reported(outputs: list[OutRecord]) -> list[DriftEvent]:
    for output in outputs:
        assert output.channel == "drift" and output.source is None
        SCHEMA.validate(json.loads(output.value or b""))
    return [DriftEvent.from_record(output.value, output.headers) for output in outputs]


def until_the_guard_acts(stream: Stream) -> list[DriftEvent]:
    events: list[DriftEvent] = []
    for _ in range(30):
        events += reported(stream.batch()[1])
        if any(one.alarm.kind == "guard" for one in events):
            return events
    raise AssertionError("harm on every canary was not found in 480 labels")


def test_harm_is_found_held_back_and_reported() -> None:
    stream = Stream()
    with capture_logs() as logs:
        events = until_the_guard_acts(stream)
    harm = next(one for one in events if one.alarm.kind == "harm")
    assert harm.alarm.labels > 0 and harm.alarm.event_ids and harm.source == "stream_adapter/test"
    assert {(entry["event"], entry["kind"]) for entry in logs} >= {("drift", "harm"), ("guard", "guard")}
    assert all((entry["event"] == "guard") == (entry["kind"] == "guard") for entry in logs)
    published, _ = stream.batch()
    assert (published.adapted.argmax(axis=1) == HOUSE).all(), "zero-shot has the last word on the canary"
    assert stream.value("drift_alarms_total", kind="guard") == 1
    stream.watching.report(0.0)
    assert stream.value("guard_damping") == 0.0 and stream.value("guarded_classes") == 1


def test_in_alarm_only_mode_it_finds_the_same_and_changes_nothing() -> None:
    stream = Stream(mode="alarm_only")
    kinds = {one.alarm.kind for _ in range(30) for one in reported(stream.batch()[1])}
    assert "harm" in kinds and "guard" not in kinds
    published, _ = stream.batch()
    assert (published.adapted.argmax(axis=1) == CAT).all()


def test_where_labels_are_few_there_is_no_number() -> None:
    stream = Stream()
    stream.batch(4)
    stream.watching.report(0.0)
    assert stream.value("drift_enough", kind="harm", group="overall") == 0
    assert stream.value("drift_value", kind="harm", group="overall") is None
    assert stream.value("drift_observed", kind="harm", group="overall") == 4


def test_figures_are_shown_at_most_every_second_and_only_where_there_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, shown = Stream(), list[float]()
    monkeypatch.setattr(stream.metrics, "set_drift", lambda statuses, damping: shown.append(now_s))
    for now_s, news in ((0.0, True), (0.5, True), (1.5, False), (3.0, False), (3.5, True)):
        if news:
            stream.batch(4)
        stream.watching.report(now_s)
    assert shown == [0.0, 1.5, 3.5]


def test_a_status_is_reported_every_so_often_once_there_were_events() -> None:
    stream = Stream(status_every_s=10.0)
    assert stream.watching.report(0.0) == [] == stream.watching.report(11.0)
    stream.batch()
    kinds = {one.alarm.kind for one in reported(stream.watching.report(22.0))}
    assert kinds == {"status"}
    assert stream.watching.report(23.0) == []
    early = Stream(status_every_s=10.0)
    early.batch()
    assert early.watching.report(0.0) == [] == early.watching.report(9.9), "the first one is due as late as any other"
    assert early.watching.report(10.0)


def test_what_is_held_back_stays_so_after_a_restart() -> None:
    before, after = Stream(), Stream()
    until_the_guard_acts(before)
    after.watching.restore(json.loads(json.dumps(before.watching.state())))
    published, _ = after.batch()
    assert (published.adapted.argmax(axis=1) == HOUSE).all()


@pytest.mark.parametrize("state", [{}, {"made_for": "others"}])
def test_a_state_that_does_not_fit_lets_it_begin_anew(state: dict[str, Any]) -> None:
    stream = Stream()
    with capture_logs() as logs:
        stream.watching.restore(state)
    assert logs[0]["event"] == "the drift monitor begins anew"
    stream.batch()


def test_the_monitor_is_shown_what_the_learner_says_and_not_what_is_left_of_it() -> None:
    """Else a guard that holds everything back would find its learner harmless, and let go."""
    stream = Stream()
    until_the_guard_acts(stream)
    with_seen: list[NDArray[np.float32]] = []
    monitor = stream.watching._monitor
    observe = monitor.observe
    monitor.observe = lambda **batch: with_seen.append(batch["adapted"]) or observe(**batch)  # type: ignore[method-assign,func-returns-value]
    published, _ = stream.batch()
    assert (published.adapted.argmax(axis=1) == HOUSE).all()
    assert (with_seen[0].argmax(axis=1) == CAT).all()
    for _ in range(60):  # 960 labels: twice as many as a release takes
        stream.batch()
    assert stream.watching.guard.damping.min() == 0.0, "what is still harmful is not released"


def test_nothing_is_reported_of_a_batch_without_events() -> None:
    stream = Stream()
    nothing = stream.prediction(0)
    assert stream.watching.observe([], np.zeros((0, D), np.float32), nothing, np.zeros(0, np.int64)) == []
