import json
import pickle
from typing import Any

import numpy as np
import pytest

from stream_adapter.drift.alarm import DriftAlarm
from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.settings import DriftSettings

CLASSES = ["cat", "dog", "bird", "fish"]
CANARY = np.array([False, False, False, True])
ANCHORS = np.array([True, True, False, False])


SETTINGS = {"reference_events": 100, "sample_every": 1}


def _monitor(**settings: object) -> DriftMonitor:
    return DriftMonitor(CLASSES, 100.0, CANARY, DriftSettings(**{**SETTINGS, **settings}))  # type: ignore[arg-type]


def _ids(events: int, start: int = 0) -> list[str]:
    return [f"e{number}" for number in range(start, start + events)]


def _sure(classes: np.ndarray) -> np.ndarray:
    return (0.96 * np.eye(4)[classes] + 0.01).astype(np.float32)


def _batch(
    rng: np.random.Generator, events: int, *, start: int = 0, shift: float = 0.0, **changed: np.ndarray
) -> dict[str, Any]:
    """Unlabelled traffic of the classes with anchors."""
    beliefs = _sure(rng.integers(0, 2, events))
    return {
        "vectors": rng.standard_normal((events, 6)).astype(np.float32) + np.float32(shift),
        "zero_shot": beliefs,
        "adapted": beliefs,
        "has_anchor": ANCHORS,
        "presence": np.ones(len(CLASSES), np.float32),
        "novelty": rng.uniform(0.0, 0.3, events).astype(np.float32),
        "nearest_cosine": rng.uniform(0.8, 0.95, events).astype(np.float32),
        "event_ids": _ids(events, start),
        "labels": np.full(events, -1),
        **changed,
    }


def _label(
    monitor: DriftMonitor, events: int, *, label: int = 3, adapted_wrong: int = 0, start: int = 0
) -> list[DriftAlarm]:
    """Events of class `label` that zero-shot gets right and the adapter wrong in the first `adapted_wrong`."""
    labels = np.full(events, label)
    adapted = np.where(np.arange(events) < adapted_wrong, 0, label)
    rng = np.random.default_rng(start)
    beliefs = {"zero_shot": _sure(labels), "adapted": _sure(adapted)}
    alarms = monitor.observe(**_batch(rng, events, start=start, labels=labels, **beliefs))
    return [alarm for alarm in alarms if alarm.kind in ("harm", "guard")]


def _status(monitor: DriftMonitor, kind: str, group: str) -> tuple[int, bool, float | None]:
    (line,) = [line for line in monitor.status() if (line.kind, line.group) == (kind, group)]
    return line.observed, line.enough, line.value


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
    assert 0 < harm.labels <= harm.observed
    assert set(harm.event_ids) <= set(_ids(40, 64))
    assert harm.action == "none"
    (action,) = [alarm for alarm in alarms if alarm.kind == "guard"]
    assert (action.action, action.group, action.evidence["after"]) == ("lowered", "fish", 0.0)
    assert action.labels == harm.labels
    assert monitor.guard.damping.tolist() == [1.0, 1.0, 1.0, 0.0]


def test_what_is_published_is_what_is_judged() -> None:
    """Once class "fish" is damped, an adapter that is as wrong as before does no more harm."""
    monitor = _monitor()
    _label(monitor, 64, adapted_wrong=64)
    assert [_label(monitor, 64, adapted_wrong=64, start=64 * number) for number in range(1, 9)] == [[]] * 8
    adapted, zero_shot = _sure(np.array([0])), _sure(np.array([3]))
    assert monitor.guard.damp(zero_shot, adapted).argmax() == 3


def test_alarm_only_leaves_the_adapter_alone() -> None:
    monitor = _monitor(mode="alarm_only")
    alarms = _label(monitor, 64, adapted_wrong=64)
    assert {alarm.kind for alarm in alarms} == {"harm"}
    assert monitor.guard.damping.tolist() == [1.0] * 4


def test_the_guard_lets_go_once_the_adapter_is_harmless() -> None:
    monitor = _monitor(release_labels=100)
    _label(monitor, 64, adapted_wrong=64)
    assert _label(monitor, 100, adapted_wrong=50, start=100) == []
    alarms = [alarm for number in range(4) for alarm in _label(monitor, 100, start=200 + 100 * number)]
    assert [(alarm.action, alarm.evidence["after"]) for alarm in alarms] == [
        ("raised", after) for after in (0.25, 0.5, 0.75, 1.0)
    ]


def test_labels_of_seen_classes_are_no_question_of_harm() -> None:
    monitor = _monitor()
    assert _label(monitor, 200, label=0, adapted_wrong=200) == []
    assert _status(monitor, "harm", "overall") == (0, False, None)


def test_every_number_says_how_many_labels_it_rests_on_or_is_none() -> None:
    monitor = _monitor()
    assert all(line.value is None for line in monitor.status() if line.kind not in ("guard", "protection"))
    for alarm in monitor.report():
        assert alarm.detector == "TrafficMonitor" or (alarm.labels, alarm.enough) == (0, False)
        assert set(alarm.evidence) <= {"damped", "lowest_damping"}
        assert alarm.interval is None
    _label(monitor, 49)
    assert _status(monitor, "harm", "overall") == (49, False, None)
    _label(monitor, 1, start=49)
    assert _status(monitor, "harm", "overall") == (50, True, 0.0)
    (unseen,) = [alarm for alarm in monitor.report() if alarm.group == "unseen"]
    assert (unseen.labels, unseen.enough) == (50, True)
    assert unseen.evidence == {"zero_shot": 1.0, "adapted": 1.0, "undamped": 1.0}


def test_status_names_configured_groups_and_canaries_only() -> None:
    monitor = _monitor(groups={"birds": ["bird"]})
    everything_unseen = np.zeros(4, dtype=bool)
    labels = np.arange(64) % 4
    rng = np.random.default_rng(0)
    monitor.observe(**{**_batch(rng, 64, labels=labels), "has_anchor": everything_unseen})
    assert {line.group for line in monitor.status() if line.kind == "harm"} == {"overall", "birds", "fish"}


def test_groups_share_their_labels() -> None:
    monitor = _monitor(groups={"animals of air and sea": ["bird", "fish"]})
    labels = np.tile([2, 3], 32)
    wrong = _sure(np.zeros(64, dtype=int))
    batch = _batch(np.random.default_rng(0), 64, labels=labels, zero_shot=_sure(labels), adapted=wrong)
    alarms = monitor.observe(**batch)
    assert "animals of air and sea" in {alarm.group for alarm in alarms if alarm.kind == "harm"}


@pytest.mark.parametrize(
    ("groups", "message"), [({"a": ["wolf"]}, "'wolf'"), ({"a": ["cat"], "b": ["cat"]}, "in two groups")]
)
def test_groups_are_checked(groups: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _monitor(groups=groups)


def test_other_pictures_alarm_with_the_events_behind_it() -> None:
    rng, monitor = np.random.default_rng(0), _monitor()
    assert monitor.observe(**_batch(rng, 1_000)) == []
    alarms = monitor.observe(**_batch(rng, 100, start=1_000, shift=3.0))
    (alarm,) = [alarm for alarm in alarms if alarm.kind == "embedding"]
    assert (alarm.detector, alarm.labels) == ("EmbeddingShift", 0)
    assert set(alarm.event_ids) <= set(_ids(100, 1_000))
    assert 0 < len(alarm.event_ids) <= 20


def test_what_is_not_sampled_is_not_tested() -> None:
    rng, monitor = np.random.default_rng(0), _monitor(sample_every=4)
    monitor.observe(**_batch(rng, 640))
    assert _status(monitor, "embedding", "overall")[0] == 192 - 100  # 3 runs of 64, less the reference


def test_what_no_class_names_is_listed() -> None:
    rng, monitor = np.random.default_rng(0), _monitor()
    monitor.observe(**_batch(rng, 1_000))
    unsure = np.full((100, 4), 0.25, dtype=np.float32)
    strange = {"zero_shot": unsure, "adapted": unsure, "novelty": np.full(100, 0.7, np.float32)}
    alarms = monitor.observe(**_batch(rng, 100, start=1_000, **strange))
    (alarm,) = [alarm for alarm in alarms if alarm.kind == "novelty"]
    assert set(alarm.event_ids) & set(_ids(100, 1_000))
    assert _status(monitor, "novelty", "overall")[1:] == (False, None)  # a new reference is being taken


def test_a_class_that_turns_up_is_named_with_its_events() -> None:
    rng, monitor = np.random.default_rng(0), _monitor()
    monitor.observe(**_batch(rng, 1_500))
    beliefs = _sure(np.where(np.arange(100) % 20 == 0, 2, 0))
    beliefs[::20] += rng.uniform(0.0, 0.01, (5, 4)).astype(np.float32)  # different pictures
    alarms = monitor.observe(**_batch(rng, 100, start=1_500, zero_shot=beliefs))
    (alarm,) = [alarm for alarm in alarms if alarm.kind == "new_class"]
    assert alarm.group == "bird"
    assert alarm.event_ids[:3] == ("e1500", "e1520", "e1540")
    assert 0.0 < alarm.evidence["share"] < 0.1
    assert _status(monitor, "new_class", "overall")[2] == 1.0


@pytest.mark.parametrize("copy", ["json", "pickle"])
def test_goes_on_after_a_restart(copy: str) -> None:
    rng, original = np.random.default_rng(0), _monitor()
    original.observe(**_batch(rng, 777))
    _label(original, 64, adapted_wrong=64, start=777)
    if copy == "json":
        restored = _monitor()
        restored.restore(json.loads(json.dumps(original.state(), allow_nan=False)))
    else:
        restored = pickle.loads(pickle.dumps(original))
    later = _batch(rng, 500, start=841, shift=2.0)
    expected = original.observe(**later)
    assert expected
    assert restored.observe(**later) == expected
    assert _label(restored, 64, start=1_400) == _label(original, 64, start=1_400)
    assert restored.report() == original.report()
    assert restored.state() == original.state()


def test_a_state_of_other_classes_or_settings_is_refused() -> None:
    with pytest.raises(ValueError, match="other classes"):
        _monitor().restore(_monitor(tolerance=0.02).state())
    _monitor().restore(_monitor(status_every_s=5).state())


def test_a_broken_state_is_refused() -> None:
    state = _monitor().state()
    with pytest.raises(ValueError, match="broken"):
        _monitor().restore({**state, "labels": {**state["labels"], "harm": {"detectors": {"0": None}}}})


def test_no_events_no_matter() -> None:
    monitor = _monitor()
    before = monitor.state()
    assert monitor.observe(**_batch(np.random.default_rng(0), 0)) == []
    assert monitor.state() == before
