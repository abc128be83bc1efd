import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.adapter.anchors.ownership import EVERYTHING, NOTHING, Ownership, key_of

KEYS = np.random.default_rng(0).integers(0, 2**64, 200, dtype=np.uint64)


@given(st.integers(1, 12), st.data())
def test_what_workers_of_a_group_own_is_disjoint_and_every_anchor(of: int, data: st.DataObject) -> None:
    owner = np.array(data.draw(st.lists(st.integers(0, 3), min_size=of, max_size=of)))
    parts = [Ownership(frozenset(np.flatnonzero(owner == worker).tolist()), of) for worker in range(4)]
    assert (sum(part.owns(KEYS).astype(int) for part in parts) == 1).all()


def test_a_worker_alone_owns_everything_and_one_without_partitions_nothing() -> None:
    assert EVERYTHING.owns(KEYS).all()
    for nothing in (NOTHING, Ownership(frozenset(), 3)):
        assert not nothing.owns(KEYS).any()


@given(st.text(), st.integers(1, 7), st.sets(st.integers(0, 6)))
def test_an_id_is_owned_where_its_key_is(anchor_id: str, of: int, partitions: set[int]) -> None:
    owned = Ownership(frozenset(partitions), of)
    assert owned.owns_id(anchor_id) == owned.owns(np.array([key_of(anchor_id)], np.uint64))[0]
