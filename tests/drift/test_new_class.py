import json

import numpy as np
import pytest

from stream_adapter.drift.new_class import NamedClass, NewClassNamer

KNOWN = np.array([True, True, False, False])


def _beliefs(rng: np.random.Generator, tops: np.ndarray) -> np.ndarray:
    """Beliefs (B, 4): 0.7 to 0.9 for the top class, and noise that the unknown classes 2 and 3 have little of."""
    confidence = rng.uniform(0.7, 0.9, len(tops))[:, None]
    noise = rng.dirichlet([8.0, 8.0, 0.5, 0.5], len(tops))
    return (confidence * np.eye(4)[tops] + (1.0 - confidence) * noise).astype(np.float32)


def _stream(
    namer: NewClassNamer,
    events: int,
    *,
    seed: int = 2,
    start: int = 0,
    share: float = 0.0,
    labels: float = 0.3,
    new_labelled: bool = False,
    new: int = 2,
    batch: int = 64,
) -> list[NamedClass]:
    rng = np.random.default_rng([seed, start])
    tops = np.where(rng.random(events) < share, new, rng.integers(0, 2, events))
    beliefs = _beliefs(rng, tops)
    labelled = (rng.random(events) < labels) & ((tops < 2) | new_labelled)
    ids = [f"e{start + number}" for number in range(events)]
    found = []
    for at in range(0, events, batch):
        rows = slice(at, at + batch)
        found += namer.observe(beliefs[rows], labelled[rows], KNOWN, ids[rows])
    return found


def _experienced(**stream: object) -> NewClassNamer:
    namer = NewClassNamer(4)
    assert _stream(namer, 2_500, **stream) == []  # type: ignore[arg-type]
    return namer


def test_a_class_that_turns_up_is_named_with_its_events() -> None:
    (named,) = _stream(_experienced(), 500, start=2_500, share=0.02)
    assert named.index == 2
    assert named.p_value < 1e-4
    assert 4 <= named.witnesses == len(named.event_ids) <= 11
    assert all(int(event_id[1:]) >= 2_500 for event_id in named.event_ids)
    assert 0.01 < named.share < 0.1
    assert named.labels > 0


def test_it_is_named_once_until_it_had_anchors() -> None:
    namer = _experienced()
    assert len(_stream(namer, 2_000, start=2_500, share=0.02)) == 1
    assert namer.named.tolist() == [False, False, True, False]
    namer.observe(_beliefs(np.random.default_rng(0), np.zeros(1, int)), np.array([False]), KNOWN | namer.named, ["x"])
    assert not namer.named.any()


def test_soft_beliefs_speak_for_a_class_where_no_known_class_has_any() -> None:
    """A class with a belief of 0.06 beside a name that nobody ever labels, 0.9, and known ones at 0.02 each."""
    rng, namer = np.random.default_rng(0), _experienced()
    tops = np.where(np.arange(500) % 40 == 0, 2, 0)
    beliefs = _beliefs(rng, tops)
    beliefs[tops == 2] = np.array([0.02, 0.02, 0.06, 0.9]) + rng.uniform(0, 0.005, ((tops == 2).sum(), 4))
    named = namer.observe(beliefs, np.zeros(500, bool), KNOWN, [str(n) for n in range(500)])
    assert {one.index for one in named} == {2, 3}


def test_a_class_that_was_always_there_is_no_news() -> None:
    assert _stream(NewClassNamer(4), 6_000, share=0.02) == []


@pytest.mark.parametrize("confused", [False, True])
def test_what_labelled_events_are_taken_for_just_as_often_is_a_confusion(confused: bool) -> None:
    """Every tenth event of 400 is taken for class 2; every other one of these has a label, or none has."""
    rng, namer = np.random.default_rng(0), _experienced()
    tops = np.where(np.arange(400) % 10 == 0, 2, 0)
    labelled = np.arange(400) % 20 == 0 if confused else np.arange(400) % 20 == 1
    named = namer.observe(_beliefs(rng, tops), labelled, KNOWN, [str(number) for number in range(400)])
    assert bool(named) is not confused


def test_one_picture_sent_again_and_again_is_no_class() -> None:
    namer = _experienced()
    again = np.repeat(np.array([[0.1, 0.05, 0.8, 0.05]], dtype=np.float32), 40, axis=0)
    assert namer.observe(again, np.zeros(40, bool), KNOWN, [str(n) for n in range(40)]) == []


def test_says_nothing_without_a_history() -> None:
    namer = NewClassNamer(4)
    _stream(namer, 500)
    assert not namer.enough
    assert _stream(namer, 400, start=500, share=0.05) == []
    _stream(namer, 200, start=900)
    assert namer.enough


def test_a_known_class_is_no_news() -> None:
    assert _stream(_experienced(), 500, start=2_500, share=0.1, new=1) == []


@pytest.mark.parametrize("batch", [1, 7, 512, 3_000])
def test_does_not_depend_on_the_batches(batch: int) -> None:
    expected = _stream(_experienced(), 500, start=2_500, share=0.03)
    namer = _experienced(batch=batch)
    found = _stream(namer, 500, start=2_500, share=0.03, batch=batch)
    assert [(one.index, one.event_ids, one.p_value) for one in found] == [
        (one.index, one.event_ids, one.p_value) for one in expected
    ]


def test_few_stationary_streams_name_a_class() -> None:
    """60 streams of 3,000 events; the study's 1,000 streams of real vectors are in docs/drift.md."""
    assert sum(bool(_stream(NewClassNamer(4), 3_000, seed=seed, share=0.003)) for seed in range(60)) <= 3


def test_state_goes_through_json() -> None:
    namer, restored = _experienced(), NewClassNamer(4)
    restored.restore(json.loads(json.dumps(namer.state(), allow_nan=False)))
    assert restored.state() == namer.state()
    later = _stream(restored, 500, start=2_500, share=0.02)
    assert later
    assert later == _stream(namer, 500, start=2_500, share=0.02)


def test_alpha_is_checked() -> None:
    with pytest.raises(ValueError, match="alpha"):
        NewClassNamer(4, alpha=0.0)
