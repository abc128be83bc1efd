from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.kafka.ownership import Ownership

P0, P1 = Partition("images", 0), Partition("images", 1)


def record(at: Partition, offset: int) -> Record:
    return Record(at, offset, 0, None, b"")


def test_only_what_was_delivered_may_be_committed() -> None:
    mine = Ownership()
    mine.assigned([P0, P1])
    mine.delivered([record(P0, 5), record(P0, 6)])
    assert mine.committable({P0: 7, P1: 1}) == {P0: 7}
    assert mine.committable({P0: 6}) == {P0: 6}
    assert mine.committable({P0: 8}) == {}  # never delivered
    assert mine.committable({P0: 5}) == {}  # nothing of it was processed


def test_offsets_with_gaps_are_fine() -> None:
    mine = Ownership()
    mine.assigned([P0])
    mine.delivered([record(P0, 5), record(P0, 90)])
    assert mine.committable({P0: 91}) == {P0: 91}


def test_what_was_delivered_before_the_partition_left_is_nobodys() -> None:
    mine = Ownership()
    mine.assigned([P0])
    mine.delivered([record(P0, n) for n in range(10)])
    mine.revoked([P0])
    assert mine.committable({P0: 10}) == {}
    mine.assigned([P0])
    assert mine.committable({P0: 10}) == {}
    mine.delivered([record(P0, 4)])
    assert mine.committable({P0: 10}) == {}
    assert mine.committable({P0: 5}) == {P0: 5}
    assert mine.committable({P0: 4}) == {}  # before this ownership began


def test_a_partition_that_left_and_came_back_is_missing_for_one_poll() -> None:
    mine = Ownership()
    mine.assigned([P0, P1])
    mine.poll_begins()
    mine.revoked([P0])
    mine.assigned([P0])
    assert mine.visible == {P1} and mine.came_back == {P0}
    mine.poll_begins()
    assert mine.visible == {P0, P1} and not mine.came_back


class Group(RuleBasedStateMachine):
    """A log of one partition, read by this worker whenever it owns it, and by others when it does not."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = Ownership()
        self.owned = False
        self.committed = self.position = 0
        self.batches: list[tuple[int, int, int]] = []  # (ownership number, first, following)
        self.ownership = 0

    @rule()
    def assign(self) -> None:
        if not self.owned:
            self.owned, self.position = True, self.committed
            self.ownership += 1
            self.mine.assigned([P0])

    @rule()
    def revoke(self) -> None:
        self.owned = False
        self.mine.revoked([P0])

    @rule(by=st.integers(1, 5))
    def others_progress(self, by: int) -> None:
        if not self.owned:
            self.committed += by

    @rule(number=st.integers(1, 4))
    def read(self, number: int) -> None:
        if self.owned:
            self.mine.poll_begins()
            self.mine.delivered([record(P0, self.position + n) for n in range(number)])
            self.batches.append((self.ownership, self.position, self.position + number))
            self.position += number

    @rule(which=st.integers(0, 10))
    def commit(self, which: int) -> None:
        if which < len(self.batches):
            ownership, first, following = self.batches[which]
            mine = self.mine.committable({P0: following})
            if mine and ownership != self.ownership:
                # An old batch may only be taken for one of the same offsets that this ownership has read itself.
                assert any(o == self.ownership and f < following <= t for o, f, t in self.batches)
            if mine:
                assert self.owned and first < following <= self.position
                self.committed = max(self.committed, following)

    @invariant()
    def nothing_is_skipped(self) -> None:
        if self.owned:
            assert self.committed <= self.position


TestGroup = Group.TestCase
