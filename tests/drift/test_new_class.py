import json

import numpy as np
import pytest

from stream_adapter.adapter.class_presence import PresenceEvidence
from stream_adapter.drift.new_class import NewClassNamer

NONE = np.array([False, False])


def _evidence(
    excess: float, confusion: float = 0.0, labelled: int = 500, events: int = 2_000, witnesses: int = 9
) -> PresenceEvidence:
    return PresenceEvidence(
        events=events,
        labelled_events=labelled,
        shares=np.array([0.99, 0.01]),
        excess=np.array([0.0, excess]),
        confusion=np.array([0.9, confusion]),
        witnesses=np.array([0, witnesses]),
    )


def test_threshold_by_hand() -> None:
    # n = 2000, n_l = 500, q = 0.0006: s = sqrt(2000 · 3 · 0.0006) = 1.897; T + z s = 3.5 + 4 · 1.897 = 11.09.
    assert NewClassNamer(2).observe(_evidence(11.0, 0.0006), NONE) == []
    (signal,) = NewClassNamer(2).observe(_evidence(11.2, 0.0006), NONE)
    assert signal.subject == 1
    assert signal.details["noise"] == pytest.approx(1.897, abs=1e-3)
    assert signal.details["share"] == 0.01


def test_is_named_once_until_it_was_gone() -> None:
    namer = NewClassNamer(2)
    named = [bool(namer.observe(_evidence(excess), NONE)) for excess in (8.0, 8.0, 3.0, 8.0, 1.0, 8.0)]
    assert named == [True, False, False, False, False, True]


def test_a_class_with_anchors_is_no_news() -> None:
    namer = NewClassNamer(2)
    assert namer.observe(_evidence(50.0), np.array([False, True])) == []
    assert not namer.named.any()


def test_says_nothing_without_labels() -> None:
    namer = NewClassNamer(2)
    assert not namer.enough(_evidence(50.0, labelled=99))
    assert namer.observe(_evidence(50.0, labelled=99), NONE) == []


def test_remembers_confusions_that_one_window_lacks() -> None:
    fresh, experienced = NewClassNamer(2), NewClassNamer(2)
    for _ in range(20):
        experienced.observe(_evidence(0.0, confusion=0.001), NONE)
    assert fresh.observe(_evidence(8.0), NONE)
    assert experienced.observe(_evidence(8.0), NONE) == []


def test_one_picture_sent_again_and_again_is_no_class() -> None:
    assert NewClassNamer(2).observe(_evidence(20.0, witnesses=2), NONE) == []
    assert NewClassNamer(2).observe(_evidence(20.0, witnesses=3), NONE)


def test_state_goes_through_json() -> None:
    namer, restored = NewClassNamer(2), NewClassNamer(2)
    namer.observe(_evidence(12.0, confusion=0.0005), NONE)
    restored.restore(json.loads(json.dumps(namer.state())))
    assert restored.state() == namer.state()
    assert restored.observe(_evidence(12.0), NONE) == []
