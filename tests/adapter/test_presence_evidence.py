import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.presence_evidence import HeardEvidence, PresenceEvidence
from stream_adapter.adapter.traffic_means import TrafficMeans

NAMES = ("cat", "dog", "horse", "house")
D = 3


def evidence(**changes: Any) -> PresenceEvidence:
    fields = {
        "events": 100,
        "labelled_events": 30,
        "shares": np.array([0.7, 0.0, 0.1, 0.2]),
        "excess": np.array([0.0, 0.0, 2.0, 9.5]),
        "confusion": np.array([0.5, 0.0, 0.01, 0.0]),
        "witnesses": np.array([0, 0, 2, 9]),
        "means": TrafficMeans(
            np.array([2, 3]), np.array([4.0, 8.0]), np.array([2.0, 7.5]), np.array([[4, 0, 0], [0, 4, 2]], np.float32)
        ),
    }
    return PresenceEvidence(**(fields | changes))


@st.composite
def windows(draw: st.DrawFn) -> PresenceEvidence:
    events = draw(st.integers(0, 10_000))
    portions = st.lists(st.floats(0, 1), min_size=4, max_size=4).map(np.array)
    return PresenceEvidence(
        events,
        draw(st.integers(0, events)),
        draw(portions),
        events * draw(portions),
        draw(portions),
        draw(st.lists(st.integers(0, events), min_size=4, max_size=4).map(np.array)),
    ).rounded()


# The wire -------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(original=windows())
def test_what_was_rounded_survives_the_wire_bit_for_bit(original: PresenceEvidence) -> None:
    wire = json.dumps(original.to_json(NAMES))
    assert PresenceEvidence.from_json(json.loads(wire), NAMES, D).digest == original.digest
    assert original.rounded().digest == original.digest


def test_only_classes_with_evidence_travel() -> None:
    none, little = 1e-9, 0.04
    document = evidence(
        shares=np.array([0.7, none, none, 0.2]),
        excess=np.array([0.0, little, 2.0, 9.5]),
        confusion=np.array([0.5, none, 0.01, none]),
    ).rounded()
    assert document.to_json(NAMES) == {
        "events": 100,
        "labelled_events": 30,
        "classes": {"cat": [0.7, 0.0, 0.5, 0], "horse": [0.0, 2.0, 0.01, 2], "house": [0.2, 9.5, 0.0, 9]},
        "means": {"horse": [4.0, 2.0, "ADwAAAAA"], "house": [8.0, 7.5, "AAAAOAA0"]},
    }


def test_a_record_of_another_vocabulary_is_read_by_name() -> None:
    read = PresenceEvidence.from_json(evidence().to_json(NAMES), ("zebra", "house", "cat"), D)
    assert read.excess.tolist() == [0.0, 9.5, 0.0]
    assert read.confusion.tolist() == [0.0, 0.0, 0.5]
    assert read.witnesses.tolist() == [0, 9, 0]
    assert read.events == 100
    assert (read.means.classes.tolist(), read.means.sums.tolist()) == ([1], [[0.0, 4.0, 2.0]])


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (None, "must be an object"),
        ([], "must be an object"),
        ({"events": -1}, "`events` must be a count"),
        ({"events": True}, "`events` must be a count"),
        ({"labelled_events": 101}, "101 of 100 events"),
        ({"classes": [1]}, "`classes` must be an object"),
        ({"classes": {"cat": [0.1, 1.0, 0.1]}}, "'cat' must have"),
        ({"classes": {"cat": [0.1, float("nan"), 0.1, 1]}}, "'cat' must have"),
        ({"classes": {"cat": [1.1, 1.0, 0.1, 1]}}, "'cat' must have"),
        ({"classes": {"unknown": [0.1, -1.0, 0.1, 1]}}, "'unknown' must have"),
        ({"classes": {"cat": [0.1, 10**400, 0.1, 1]}}, "'cat' must have"),
        ({"classes": {"cat": ["1", 1, 0.1, 1]}}, "'cat' must have"),
        ({"means": [1]}, "`means` must be an object"),
        ({"means": {"cat": [4.0, 2.0]}}, "mean of 'cat' must be"),
        ({"means": {"cat": [0, 0, "ADwAAAAA"]}}, "mean of 'cat' must be"),
        ({"means": {"cat": [4.0, -1.0, "ADwAAAAA"]}}, "mean of 'cat' must be"),
        ({"means": {"cat": [1e-300, 0.0, "ADwAAAAA"]}}, "mean of 'cat' must be"),  # nothing to divide by
        ({"means": {"cat": [4.0, 5.0, "ADwAAAAA"]}}, "mean of 'cat' must be"),  # more excess than weight
        ({"means": {"cat": [4.0, 2.0, "ADwAPAAA"]}}, "mean of 'cat' must be"),  # longer than a unit vector
        ({"means": {"cat": [4.0, 2.0, "ADwAAA=="]}}, "3 float16 in base64"),
        ({"means": {"cat": [4.0, 2.0, "ADwAAAAAx"]}}, "mean of 'cat' must be"),
        ({"means": {"cat": [4.0, 2.0, "AHwAAAAA"]}}, "mean of 'cat' must be"),  # infinite
    ],
)
def test_what_is_no_record_is_refused(broken: Any, says: str) -> None:
    document = evidence().to_json(NAMES) | broken if isinstance(broken, dict) else broken
    with pytest.raises(ValueError, match=says):
        PresenceEvidence.from_json(document, NAMES, D)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from([*NAMES, "events", "x"]), inner),
    max_leaves=8,
)


@settings(deadline=None, max_examples=200)
@given(document=JSON | st.fixed_dictionaries({"events": JSON, "labelled_events": JSON, "classes": JSON, "means": JSON}))
def test_any_document_is_read_or_refused(document: Any) -> None:
    try:
        read = PresenceEvidence.from_json(document, NAMES, D)
    except ValueError:
        return
    assert np.isfinite(read.aliveness(np.zeros(4, bool))).all()


# The sum --------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(spoken=st.dictionaries(st.sampled_from("abcde"), windows(), max_size=5), data=st.data())
def test_the_sum_does_not_depend_on_who_was_heard_first(
    spoken: dict[str, PresenceEvidence], data: st.DataObject
) -> None:
    totals = []
    for order in (sorted(spoken), data.draw(st.permutations(sorted(spoken)))):
        heard = HeardEvidence(4)
        heard.hear("z", evidence())
        for slot in order:
            heard.hear(slot, evidence())
            heard.hear(slot, spoken[slot])
        heard.hear("z", None)
        totals.append(heard.total)
    assert totals[0].digest == totals[1].digest
    assert totals[0].events == sum(each.events for each in spoken.values())
    assert totals[0].excess == pytest.approx(sum((each.excess for each in spoken.values()), np.zeros(4)))


def test_hearing_the_same_again_changes_nothing() -> None:
    heard = HeardEvidence(4)
    assert heard.hear("a", evidence())
    assert not heard.hear("a", evidence())
    assert not heard.hear("b", None)
    assert heard.hear("a", evidence(events=101))
    assert heard.hear("a", None)
    assert heard.total.events == 0


def test_evidence_about_another_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="slot a: evidence about 4 classes, expected 3"):
        HeardEvidence(3).hear("a", evidence())


def test_kinds_and_aliveness() -> None:
    labelled = np.array([True, False, False, False])
    # κ (n + C) = 0.1 · 104: 9.5 + 1 suffice, 2 + 1 do not.
    assert evidence().kinds(labelled, kappa=0.1) == ["labelled", "dormant", "dormant", "present"]
    assert evidence().aliveness(labelled, kappa=0.1) == pytest.approx([1.0, 1 / 10.4, 3 / 10.4, 1.0])
