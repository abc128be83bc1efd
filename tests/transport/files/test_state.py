"""What `positions.json` may hold; see `test_source.py` for what becomes of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Partition
from stream_adapter.transport.files.state import Extent, Place, State

INPUT = Path("/pictures")
MARKS = st.none() | st.text(st.characters(), max_size=5)
NUMBERS = st.integers(0, 2**63 - 1)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
PLACES = st.fixed_dictionaries(dict.fromkeys(("topic", "partition", "offset", "after"), VALUES))


def load(folder: Path, positions: object, outputs: object) -> State:
    document = {"version": 1, "input": str(INPUT), "positions": positions, "outputs": outputs}
    (folder / "positions.json").write_text(json.dumps(document))
    return State.load(folder, INPUT)


def place(**other: object) -> dict[str, Any]:
    return {"topic": "pictures", "partition": 0, "offset": 3, "after": "a.jpg"} | other


@given(
    places=st.dictionaries(st.builds(Partition, st.text(max_size=5), NUMBERS), st.builds(Place, NUMBERS, MARKS)),
    extents=st.dictionaries(st.text(max_size=5), st.builds(Extent, NUMBERS, NUMBERS)),
)
def test_a_state_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, places: dict[Partition, Place], extents: dict[str, Extent]
) -> None:
    folder = tmp_path_factory.mktemp("state")
    state = State(str(INPUT), places, extents)
    state.save(folder)
    assert State.load(folder, INPUT) == state


@pytest.mark.parametrize("value", ["x", None, -1, 1.0, 1e300, True, [], {}, 2**63])
def test_what_is_no_number_is_told_with_the_file_and_what_to_do(tmp_path: Path, value: object) -> None:
    for positions, outputs in (
        ([place(offset=value)], {}),
        ([place(partition=value)], {}),
        ([], {"anchors": [value, 0]}),
        ([], {"anchors": [0, value]}),
    ):
        told = r"cannot read .*positions\.json: .*must be a whole number.*; delete it to start from the beginning"
        with pytest.raises(TransportError, match=told):
            load(tmp_path, positions, outputs)


@pytest.mark.parametrize("outputs", [{"anchors": "ab"}, {"anchors": [1]}, {"anchors": [1, 2, 3]}, {"a": {}}, [1], None])
def test_what_is_no_extent_is_told(tmp_path: Path, outputs: object) -> None:
    with pytest.raises(TransportError, match=r"positions\.json: .*; delete it to start from the beginning"):
        load(tmp_path, [place()], outputs)


@given(positions=VALUES | st.lists(PLACES | VALUES, max_size=3), outputs=VALUES)
def test_anything_is_a_state_or_told(
    tmp_path_factory: pytest.TempPathFactory, positions: object, outputs: object
) -> None:
    try:
        state = load(tmp_path_factory.mktemp("state"), positions, outputs)
    except TransportError as error:
        assert "delete it to start from the beginning" in str(error)
        return
    for at, found in state.places.items():
        assert isinstance(at.topic, str) and found.offset >= 0 and isinstance(found.mark, str | None)
    for extent in state.extents.values():
        assert type(extent.bytes) is type(extent.records) is int and min(extent.bytes, extent.records) >= 0
