import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.adapter.share import EVERYTHING, Share

KEYS = np.random.default_rng(0).integers(0, 2**64, 200, dtype=np.uint64)


@given(st.integers(1, 12), st.data())
def test_the_shares_of_a_group_are_disjoint_and_hold_every_anchor(of: int, data: st.DataObject) -> None:
    owner = np.array(data.draw(st.lists(st.integers(0, 3), min_size=of, max_size=of)))
    shares = [Share(frozenset(np.flatnonzero(owner == worker).tolist()), of) for worker in range(4)]
    assert (sum(share.holds(KEYS).astype(int) for share in shares) == 1).all()


def test_a_worker_alone_holds_everything_and_one_without_partitions_nothing() -> None:
    assert EVERYTHING.holds(KEYS).all()
    assert not Share(frozenset(), 3).holds(KEYS).any()
