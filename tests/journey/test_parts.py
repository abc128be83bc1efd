"""What a worker knows beside its anchors: taken over as a whole, or not at all."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from stream_adapter.errors import SnapshotError
from stream_adapter.events import PresenceRecord
from stream_adapter.journey.state import JourneyState
from stream_adapter.transport.changelog import Change
from tests.fakes import make_processor, picture
from tests.journey.running import run


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda state: replace(state, accuracy={"unlabelled": "nonsense"}), id="accuracy"),
        pytest.param(
            lambda state: replace(state, set_aside={**state.set_aside, "set_aside.times": np.zeros(1, np.int64)}),
            id="set aside",
        ),
    ],
)
def test_a_state_of_another_form_is_refused_and_nothing_has_changed(
    damage: Callable[[JourneyState], JourneyState],
) -> None:
    taught, fresh = make_processor(slot="one"), make_processor(slot="two")
    run(taught, *(picture("cat", number, "cat") for number in range(9)))
    set_aside = taught.parts.labels.replica.set_aside
    set_aside.anchors = {
        f"x{one.anchor_id}": replace(one, anchor_id=f"x{one.anchor_id}") for one in taught.adapter.anchors
    }
    before = fresh.parts.state()
    with pytest.raises(SnapshotError, match="beside its anchors cannot be used"):
        fresh.parts.restore(damage(taught.parts.state()))
    assert not fresh.parts.labels.replica.set_aside.anchors
    assert fresh.parts.scoring.state() == before.accuracy
    fresh.parts.restore(taught.parts.state())
    assert fresh.parts.scoring.state() == taught.parts.scoring.state() != before.accuracy
    assert set(fresh.parts.labels.replica.set_aside.anchors) == set(set_aside.anchors)


def test_a_state_is_read_back_from_its_arrays_or_refused_by_what_is_wrong() -> None:
    taught = make_processor(slot="one")
    run(taught, *(picture("cat", number, "cat") for number in range(30)))
    taught.parts.sharing.follow(
        Change(f"presence/evidence/{n}", PresenceRecord(f"evidence/{n}", b"{}" * n, "f", "v")) for n in range(3)
    )
    state = replace(taught.parts.state(), labels=[(f"{n:032x}", "cat") for n in range(30)])
    arrays, facts = state.arrays(), state.facts()
    again = JourneyState.of(arrays, facts)
    assert (again.labels, again.records, again.accuracy, again.drift) == (
        state.labels, dict(state.records), state.accuracy, state.drift
    )  # fmt: skip
    assert len(again.labels) == 30 and len(again.records) > 1
    lengths = arrays["records.lengths"]
    wrong = [
        ({**arrays, "records.lengths": lengths + 1}, facts),
        ({**arrays, "records.lengths": np.array([-1, *lengths[1:-1], lengths[-1] + lengths[0] + 1])}, facts),
        ({**arrays, "records.lengths": np.array([*lengths, 0])}, facts),  # one more than there are keys
        ({name: array for name, array in arrays.items() if name != "records.keys.text"}, facts),
        ({**arrays, "labels.names.codes": arrays["labels.names.codes"][1:]}, facts),
        (arrays, {"accuracy": facts["accuracy"]}),
        (arrays, {**facts, "drift": 7}),
    ]
    for bad_arrays, bad_facts in wrong:
        with pytest.raises(SnapshotError, match="beside its anchors cannot be used"):
            JourneyState.of(bad_arrays, bad_facts)
