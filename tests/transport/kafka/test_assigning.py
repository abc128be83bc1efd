from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.protocol.consumer.metadata import ConsumerProtocolSubscription

from stream_adapter.transport.kafka.assigning import StickyAssignor

TOPIC, PARTITIONS = "images", 6
Claimed = ConsumerProtocolSubscription.TopicPartition


class OneTopic:
    def topics(self) -> set[str]:
        return {TOPIC}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(PARTITIONS))


@dataclass
class Member:
    member_id: str
    metadata: Any


def member(name: str, claims: set[int], generation: int) -> Member:
    said = ConsumerProtocolSubscription(
        version=2,
        topics=[TOPIC],
        user_data=b"",
        owned_partitions=[Claimed(topic=TOPIC, partitions=sorted(claims))] if claims else [],
        generation_id=generation,
    )
    return Member(name, ConsumerProtocolSubscription.decode(said.encode()))  # as the leader sees it


def assigned(*members: Member) -> dict[str, set[int]]:
    found = StickyAssignor().assign(OneTopic(), list(members))
    return {name: {at.partition for at in assignment.partitions()} for name, assignment in found.items()}


def test_what_this_member_owns_is_told_with_its_generation() -> None:
    assignor = StickyAssignor()
    assignor.on_assignment(_Assignment([TopicPartition(TOPIC, 3)]), 7)
    said = ConsumerProtocolSubscription.decode(assignor.metadata({TOPIC}).encode())
    assert said.generation_id == 7
    assert [(owned.topic, list(owned.partitions)) for owned in said.owned_partitions] == [(TOPIC, [3])]


def test_of_two_that_claim_a_partition_the_one_that_was_away_does_not_get_it() -> None:
    for order in (1, -1):
        there, away = member("there", {0, 1, 2, 3}, 9), member("away", {0, 1, 4}, 4)
        shares = assigned(*[there, away][::order])
        assert not shares["away"] & {0, 1}, "they are read by the other one"
        assert shares["away"] <= {4, 5}


@given(st.lists(st.tuples(st.sets(st.integers(0, PARTITIONS - 1)), st.integers(-1, 3)), min_size=1, max_size=4))
def test_no_partition_is_given_to_two_or_to_one_while_another_one_has_it(claims: list[tuple[set[int], int]]) -> None:
    shares = assigned(*(member(str(n), owned, generation) for n, (owned, generation) in enumerate(claims)))
    assert sum(map(len, shares.values())) == len(set().union(*shares.values()))
    for number in range(PARTITIONS):
        holders = [(generation, str(n)) for n, (owned, generation) in enumerate(claims) if number in owned]
        newest = {name for generation, name in holders if generation == max(holders)[0]}
        getters = {name for name, share in shares.items() if number in share}
        assert not newest or not getters or getters <= newest


class _Assignment:
    def __init__(self, partitions: list[TopicPartition]) -> None:
        self._partitions = partitions

    def partitions(self) -> list[TopicPartition]:
        return self._partitions
