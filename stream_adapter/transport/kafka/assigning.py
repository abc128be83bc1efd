"""`StickyAssignor`: who reads which partition, without believing members that were away.

kafka-python's cooperative assignor lets every member say which partitions it owns, and takes the last word for each.
A member that was expelled and comes back (a process that stood still) still names what it once had, and may be given a
partition that another one is reading. Here every claim carries the generation that it dates from (version 2 of the
protocol, KIP-792), and of several claims to a partition the newest counts.
"""

from collections.abc import Iterable
from typing import Any

from kafka import TopicPartition

from stream_adapter.transport.kafka.internals import ConsumerProtocolSubscription, CooperativeStickyAssignor


class StickyAssignor(CooperativeStickyAssignor):  # type: ignore[misc]
    """As kafka-python's cooperative-sticky assignor, with claims that have an age."""

    version = 2

    def metadata(self, topics: Iterable[str]) -> Any:
        """What this member tells the leader: its topics, what it owns, and since which generation."""
        said = super().metadata(topics)
        return ConsumerProtocolSubscription(
            version=self.version,
            topics=said.topics,
            user_data=said.user_data,
            owned_partitions=said.owned_partitions,
            generation_id=self.generation,
        )

    def assign(self, cluster: Any, members: list[Any]) -> Any:
        """Who gets what; of several members that claim a partition, only the one with the newest generation has it."""
        newest: dict[TopicPartition, int] = {}
        for member in members:
            for claim in _claims(member):
                newest[claim] = max(newest.get(claim, _generation(member)), _generation(member))
        for member in members:
            for owned in member.metadata.owned_partitions or ():
                owned.partitions = [
                    number
                    for number in owned.partitions
                    if newest[TopicPartition(owned.topic, number)] == _generation(member)
                ]
        return super().assign(cluster, members)


def _claims(member: Any) -> list[TopicPartition]:
    return [
        TopicPartition(owned.topic, number)
        for owned in member.metadata.owned_partitions or ()
        for number in owned.partitions
    ]


def _generation(member: Any) -> int:
    return int(member.metadata.generation_id)
