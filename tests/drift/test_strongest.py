import json

import numpy as np

from stream_adapter.drift.strongest import StrongestEvents

ALL_UNKNOWN = np.zeros(3, dtype=np.bool_)


def _filled(scores: list[float], kept: int = 3) -> StrongestEvents:
    events = StrongestEvents(n_classes=3, kept=kept)
    events.compare_with(ALL_UNKNOWN, 0)
    for number, score in enumerate(scores):
        events.offer(1, score, number, labelled=number % 2 == 0)
    return events


def test_keeps_the_strongest_in_their_order() -> None:
    numbers, labelled = _filled([0.1, 0.9, 0.5, 0.3, 0.7]).of(1)
    assert numbers.tolist() == [1, 4, 2]
    assert labelled.tolist() == [False, True, True]


def test_says_what_a_newcomer_must_beat() -> None:
    events = _filled([0.1, 0.9])
    assert events.to_beat.tolist() == [0.0, 0.0, 0.0]  # there is room: whatever beats the known classes
    events.offer(1, 0.5, 2, labelled=False)
    assert events.to_beat.tolist() == [0.0, 0.1, 0.0]


def test_the_same_picture_counts_once_and_learns_of_its_label() -> None:
    events = _filled([0.1, 0.9])
    assert not events.offer(1, 0.9, 7, labelled=True)
    numbers, labelled = events.of(1)
    assert numbers.tolist() == [1, 0]
    assert labelled.tolist() == [True, True]


def test_claimed_events_speak_for_one_class() -> None:
    events = _filled([0.4, 0.9])
    events.offer(2, 0.2, 1, labelled=False)  # the same event, less strongly
    events.offer(0, 2.0, 0, labelled=False)  # more strongly
    events.claim(1)
    assert [events.of(index)[0].tolist() for index in range(3)] == [[0], [1, 0], []]


def test_a_class_that_becomes_known_begins_a_generation() -> None:
    events, known = _filled([0.4, 0.9]), np.array([True, False, False])
    events.compare_with(known, 999)  # too early
    assert events.since == 0
    events.compare_with(known, 1_000)
    assert (events.since, events.of(1)[0].tolist()) == (0, [1, 0])  # what was is still compared with
    events.compare_with(np.array([True, False, True]), 2_000)
    assert (events.since, events.of(1)[0].tolist()) == (1_000, [])


def test_a_class_that_ceases_to_be_known_forgets_all() -> None:
    events = StrongestEvents(n_classes=3, kept=3)
    events.compare_with(np.array([True, False, False]), 0)
    events.offer(1, 0.4, 0, labelled=False)
    events.compare_with(ALL_UNKNOWN, 10)
    assert (events.since, events.of(1)[0].tolist()) == (10, [])


def test_state_goes_through_json() -> None:
    events, restored = _filled([0.1, 0.9, 0.5, 0.3]), StrongestEvents(3, 3)
    restored.restore(json.loads(json.dumps(events.state())))
    assert restored.state() == events.state()
    assert np.array_equal(restored.to_beat, events.to_beat)
