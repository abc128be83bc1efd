import json
import pickle

import numpy as np
import pytest

from stream_adapter.adapter.class_presence import PresenceEvidence
from stream_adapter.drift.alarm import DriftAlarm
from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.settings import DriftSettings

CLASSES = ["cat", "dog", "bird", "fish"]
CANARY = np.array([False, False, False, True])
ANCHORS = np.array([True, True, False, False])


def _monitor(**settings: object) -> DriftMonitor:
    return DriftMonitor(CLASSES, 100.0, CANARY, DriftSettings(reference_events=100, sample_every=1, **settings))  # type: ignore[arg-type]


def _traffic(rng: np.random.Generator, events: int, shift: float = 0.0) -> tuple[np.ndarray, ...]:
    vectors = rng.standard_normal((events, 6)).astype(np.float32) + np.float32(shift)
    zero_shot = (0.96 * np.eye(4)[rng.integers(0, 2, events)] + 0.01).astype(np.float32)
    return vectors, zero_shot, rng.uniform(0.8, 0.95, events).astype(np.float32)


def _ids(events: int, start: int = 0) -> list[str]:
    return [f"e{number}" for number in range(start, start + events)]


def _label(
    monitor: DriftMonitor, events: int, *, label: int = 3, adapted_wrong: int = 0, start: int = 0, undamped: bool = True
) -> list[DriftAlarm]:
    """Events of class `label` that zero-shot gets right and the adapter wrong in the first `adapted_wrong`."""
    labels = np.full(events, label)
    adapted = np.where(np.arange(events) < adapted_wrong, 0, label)
    damped = adapted if monitor.damping[label] == 1.0 else labels
    return monitor.observe_labels(labels, labels, damped, adapted if undamped else labels, ANCHORS, _ids(events, start))


def test_harm_is_proven_explained_and_acted_on() -> None:
    monitor = _monitor()
    assert _label(monitor, 64) == []
    alarms = _label(monitor, 64, adapted_wrong=40, start=64)
    assert [alarm.kind for alarm in alarms][:2] == ["harm", "harm"]
    assert {alarm.group for alarm in alarms if alarm.kind == "harm"} == {"overall", "fish"}
    harm = alarms[0]
    assert harm.interval is not None
    assert harm.interval.low < harm.evidence["difference"] < harm.interval.high <= -0.01
    assert harm.interval.confidence >= 0.99
    assert harm.observed >= 64
    assert set(harm.event_ids) <= set(_ids(40, 64))
    (action,) = [alarm for alarm in alarms if alarm.kind.startswith("guard")]
    assert (action.kind, action.group, action.evidence["after"]) == ("guard lowered", "fish", 0.0)
    assert monitor.damping.tolist() == [1.0, 1.0, 1.0, 0.0]


def test_alarm_only_leaves_the_adapter_alone() -> None:
    monitor = _monitor(mode="alarm only")
    alarms = _label(monitor, 64, adapted_wrong=64)
    assert {alarm.kind for alarm in alarms} == {"harm"}
    assert monitor.damping.tolist() == [1.0] * 4


def test_the_guard_lets_go_once_the_adapter_is_harmless() -> None:
    monitor = _monitor(release_labels=100)
    _label(monitor, 64, adapted_wrong=64)
    assert _label(monitor, 100, adapted_wrong=50, start=100) == []
    alarms = [alarm for start in range(4) for alarm in _label(monitor, 100, undamped=False, start=200 + 100 * start)]
    assert [alarm.evidence["after"] for alarm in alarms] == [0.25, 0.5, 0.75, 1.0]


def test_labels_of_seen_classes_are_no_question_of_harm() -> None:
    monitor = _monitor()
    assert _label(monitor, 200, label=0, adapted_wrong=200) == []
    assert _status(monitor, "harm", "overall") == (0, False, None)


def test_too_few_labels_give_no_number() -> None:
    monitor = _monitor()
    _label(monitor, 49)
    assert _status(monitor, "harm", "overall") == (49, False, None)
    _label(monitor, 1)
    assert _status(monitor, "harm", "overall") == (50, True, 0.0)


def _status(monitor: DriftMonitor, kind: str, group: str) -> tuple[int, bool, float | None]:
    (line,) = [line for line in monitor.status() if (line.kind, line.group) == (kind, group)]
    return line.observed, line.enough, line.value


def test_groups_share_their_labels() -> None:
    monitor = _monitor(groups={"animals of air and sea": ["bird", "fish"]})
    labels = np.tile([2, 3], 32)
    alarms = monitor.observe_labels(labels, labels, np.zeros(64, dtype=int), np.zeros(64, dtype=int), ANCHORS, _ids(64))
    assert "animals of air and sea" in {alarm.group for alarm in alarms if alarm.kind == "harm"}


@pytest.mark.parametrize(
    ("groups", "message"), [({"a": ["wolf"]}, "'wolf'"), ({"a": ["cat"], "b": ["cat"]}, "in two groups")]
)
def test_groups_are_checked(groups: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _monitor(groups=groups)


def test_other_pictures_alarm_with_the_events_behind_it() -> None:
    rng, monitor = np.random.default_rng(0), _monitor()
    assert monitor.observe_traffic(*_traffic(rng, 1_000), ANCHORS, _ids(1_000)) == []
    alarms = monitor.observe_traffic(*_traffic(rng, 100, shift=3.0), ANCHORS, _ids(100, 1_000))
    (alarm,) = [alarm for alarm in alarms if alarm.kind == "embedding"]
    assert alarm.detector == "EmbeddingShift"
    assert set(alarm.event_ids) <= set(_ids(100, 1_000))
    assert 0 < len(alarm.event_ids) <= 20


def test_what_no_class_names_is_listed() -> None:
    rng, monitor = np.random.default_rng(0), _monitor()
    monitor.observe_traffic(*_traffic(rng, 1_000), ANCHORS, _ids(1_000))
    vectors, _, _ = _traffic(rng, 100)
    unsure = np.full((100, 4), 0.25, dtype=np.float32)
    alarms = monitor.observe_traffic(vectors, unsure, np.full(100, 0.3, np.float32), ANCHORS, _ids(100, 1_000))
    (alarm,) = [alarm for alarm in alarms if alarm.kind == "novelty"]
    assert set(alarm.event_ids) & set(_ids(100, 1_000))


def test_a_class_that_turns_up_is_named_with_its_events() -> None:
    rng, monitor = np.random.default_rng(0), _monitor()
    vectors, zero_shot, cosines = _traffic(rng, 100)
    zero_shot[::20] = [0.1, 0.0, 0.9, 0.0]
    monitor.observe_traffic(vectors, zero_shot, cosines, ANCHORS, _ids(100))
    evidence = PresenceEvidence(100, 100, np.full(4, 0.25), np.array([0.0, 0.0, 20.0, 0.0]), np.zeros(4), np.full(4, 9))
    (alarm,) = monitor.observe_presence(evidence, ANCHORS)
    assert (alarm.kind, alarm.group) == ("new class", "bird")
    assert alarm.event_ids == ("e0", "e20", "e40", "e60", "e80")
    assert alarm.evidence["share"] == 0.25


def test_alarms_are_json() -> None:
    for alarm in _label(_monitor(), 64, adapted_wrong=64):
        assert json.loads(json.dumps(alarm.to_json(), allow_nan=False))["kind"] == alarm.kind


@pytest.mark.parametrize("copy", ["json", "pickle"])
def test_goes_on_after_a_restart(copy: str) -> None:
    rng, original = np.random.default_rng(0), _monitor()
    original.observe_traffic(*_traffic(rng, 777), ANCHORS, _ids(777))
    _label(original, 64, adapted_wrong=64)
    if copy == "json":
        restored = _monitor()
        restored.restore(json.loads(json.dumps(original.state(), allow_nan=False)))
    else:
        restored = pickle.loads(pickle.dumps(original))
    later = (*_traffic(rng, 500, shift=2.0), ANCHORS, _ids(500, 777))
    expected = original.observe_traffic(*later)
    assert expected
    assert restored.observe_traffic(*later) == expected
    assert _label(restored, 64, start=900) == _label(original, 64, start=900)
    assert restored.state() == original.state()


def test_no_events_no_matter() -> None:
    monitor = _monitor()
    empty = np.zeros((0, 6), np.float32), np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    assert monitor.observe_traffic(*empty, ANCHORS, []) == []
    nobody = np.zeros(0, dtype=np.int64)
    assert monitor.observe_labels(nobody, nobody, nobody, nobody, ANCHORS, []) == []
