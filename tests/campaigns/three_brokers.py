"""A cluster of three brokers on this machine: three replicas, two of which must have what counts as written."""

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from kafka import KafkaAdminClient

from stream_adapter.demo.broker import LocalKafka
from tests.ports import free_port

_REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "replica.lag.time.max.ms": "3000",
    # A broker that was away gets its partitions back within seconds: a change of leaders without anybody's failure.
    "leader.imbalance.check.interval.seconds": "3",
    "leader.imbalance.per.broker.percentage": "0",
}


class _Node(LocalKafka):
    def __init__(self, number: int, ports: tuple[int, int], settings: Mapping[str, str]) -> None:
        super().__init__(settings={**_REPLICATED, **settings, "node.id": str(number)})
        self._ports = ports


class ThreeBrokers:
    """Three nodes, each broker and controller; what `LocalKafka` can do, done to one of them.

    Attributes:
        at_once: how many nodes `kill` ends; with two there is no quorum, and nothing can be written until `start`.
        killed: how many were, so far.

    Args:
        seed: decides which node it is.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)
        ports = [(free_port(), free_port()) for _ in range(3)]
        voters = ",".join(f"{number}@127.0.0.1:{at[1]}" for number, at in enumerate(ports, 1))
        self.nodes = [_Node(number, at, {"controller.quorum.voters": voters}) for number, at in enumerate(ports, 1)]
        self.at_once = 1
        self.killed = 0

    @property
    def bootstrap_servers(self) -> str:
        """Of all three."""
        return ",".join(node.bootstrap_servers for node in self.nodes)

    def start(self) -> None:
        """Start those that do not run, at the same time: none of them serves before there are two."""
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(LocalKafka.start, self.nodes))

    def kill(self) -> None:
        """End so many of them at once."""
        for node in self._rng.sample(self.nodes, self.at_once):
            node.kill()
            self.killed += 1

    def leaders(self, topic: str) -> list[int]:
        """Which node leads each partition, by the first node that answers."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        (found,) = admin.describe_topics([topic])
        admin.close()
        partitions = sorted(found["partitions"], key=lambda one: one["partition_index"])
        return [one["leader_id"] for one in partitions]

    def __enter__(self) -> "ThreeBrokers":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.stop()
