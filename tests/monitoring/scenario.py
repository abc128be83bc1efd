"""A real worker on a real Kafka gets into trouble, and a real Prometheus says which."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from kafka import KafkaProducer
from kafka.errors import KafkaError

from stream_adapter.demo.broker import LocalKafka
from stream_adapter.demo.worker_process import WorkerProcess
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import CANARY, CLASSES, drawn, event, metric, running, write_config
from tests.monitoring.server import Prometheus
from tests.ports import free_port

# The last one lasts: wrong anchors do harm until somebody deletes them.
ALERTS_OF = {
    "bad pictures": {"StreamAdapterDeadLettersHigh"},
    # Both are true. Which is first is a matter of seconds that are not scaled: a worker that waits for its commit is
    # ready for ten, one that waits for events for four, and then no worker is.
    "broker stalled": {"StreamAdapterStalled", "StreamAdapterDown"},
    "worker killed": {"StreamAdapterDown"},
    "wrong labels": {"StreamAdapterHarm"},
}
_RATE = 80.0  # pictures a second
_CALM_S = 3.0
_PATIENCE_S = 60.0


class Traffic(threading.Thread):
    """A producer that sends pictures until it is told to stop; half of them are canaries, and most are labelled.

    Attributes:
        bad: share of the events that are no pictures.
        poisoned: whether half of the canaries come with the label of another class, which is then learned.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.bad = 0.0
        self.poisoned = False
        self._cluster = cluster
        self._pictures = drawn(2_000)
        self._stopping = threading.Event()
        self._rng = np.random.default_rng(0)

    def run(self) -> None:
        producer = KafkaProducer(bootstrap_servers=self._cluster.config.bootstrap_servers, linger_ms=5)
        canaries = [picture for picture in self._pictures if picture[0] == CANARY]
        others = [picture for picture in self._pictures if picture[0] != CANARY]
        started = time.monotonic()
        for number in itertools.count():
            if self._stopping.wait(max(0.0, started + number / _RATE - time.monotonic())):
                break
            # Drawn anew each time: in any order that repeats, the watch would rightly see that it does.
            pool = canaries if self._rng.random() < 0.5 else others
            name, data = pool[int(self._rng.integers(len(pool)))]
            label: str | None = name if self._rng.random() < 0.7 else None
            if name == CANARY and self.poisoned and self._rng.random() < 0.5:
                label = CLASSES[0]
            value = b"no picture" if self._rng.random() < self.bad else data
            try:
                producer.send(
                    self._cluster.config.topics.images,
                    value,
                    headers=list(event(str(number), label)),
                    partition=number % self._cluster.partitions,
                )
            except KafkaError:  # the broker is away, which is what is tested
                continue
        producer.close(timeout=1)

    def stop(self) -> None:
        self._stopping.set()
        self.join(20)


class Scene:
    """A worker with traffic, and what can be done to it.

    Attributes:
        server: watches the worker.

    Args:
        kafka: the broker.
        traffic: runs.
        worker: runs.
        server: runs.
    """

    def __init__(self, kafka: LocalKafka, traffic: Traffic, worker: WorkerProcess, server: Prometheus) -> None:
        self.server = server
        self._traffic = traffic
        self._worker = worker
        self._kafka = kafka

    def alerts_of(self, trouble: str) -> tuple[set[str], float]:
        """Let it happen after a calm while; which alerts fired, and how many seconds that took.

        Raises:
            AssertionError: one fired in the calm while, or none at the trouble.
        """
        self.server.watch()
        time.sleep(_CALM_S)
        early = self.server.fired()
        assert not early, f"{early} before any trouble ({trouble})"
        with self._trouble(trouble):
            began = time.monotonic()
            wait_for(self.server.fired, timeout_s=_PATIENCE_S, what=f"an alert because of: {trouble}")
            seconds = time.monotonic() - began
            time.sleep(2.0)  # a wrong one may come a moment later
            return self.server.fired(), seconds

    @contextmanager
    def _trouble(self, trouble: str) -> Iterator[None]:
        broker = child(self._kafka._process.pid if self._kafka._process else 0)
        if trouble == "bad pictures":
            self._traffic.bad = 0.5
        elif trouble == "wrong labels":
            self._traffic.poisoned = True
        elif trouble == "broker stalled":
            os.kill(broker, signal.SIGSTOP)
        elif trouble == "worker killed":
            assert self._worker._process is not None
            os.kill(child(self._worker._process.pid), signal.SIGKILL)
        try:
            yield
        finally:
            self._traffic.bad, self._traffic.poisoned = 0.0, False
            os.kill(broker, signal.SIGCONT)
            until_it_works(self._worker)


def until_it_works(worker: WorkerProcess) -> None:
    """The worker is ready and predicts; one that has ended is started again, as an orchestrator would.

    A broker that stands still for longer than `kafka.transaction_timeout_ms` fences the worker that waits for it.
    """

    def shows(series: str) -> float:
        if worker.ended() is not None:
            worker.start()
        return metric(worker, series) or 0.0

    wait_for(lambda: shows("stream_adapter_ready") == 1.0, timeout_s=90.0, what="the worker")
    before = shows("stream_adapter_predictions_total")
    wait_for(
        lambda: shows("stream_adapter_predictions_total") not in (0.0, before), timeout_s=90.0, what="a prediction"
    )


def child(pid: int) -> int:
    """The process below a watchdog."""
    children = wait_for(lambda: Path(f"/proc/{pid}/task/{pid}/children").read_text().split(), what="a process")
    return int(children[0])


@contextmanager
def scene(kafka: LocalKafka, folder: Path, *, mode: str = "alarm_only", unprotected: bool = False) -> Iterator[Scene]:
    """A worker at work.

    Args:
        kafka: the broker; it will be stopped for moments.
        folder: for configuration, logs and data.
        mode: of the guard.
        unprotected: run a method that wrong labels harm; the default is hardly harmed. Right labels harm it, too, now
            and then, so that nothing else is to be tried with it.
    """
    method = {"method": "tip-adapter", "protection": 0} if unprotected else {}
    cluster = Cluster(kafka.bootstrap_servers)
    port = free_port()
    config = write_config(
        folder,
        cluster,
        adapter={
            "canaries": [CANARY],
            **method,
            "shadow": "llu",
            "anchors": {"index": "hnsw", "recall_sample": 1.0},
        },
        drift={"min_labels": 20, "mode": mode},
        dead_letters={"max_share": 0.95},
        snapshots={"folder": str(folder / "snapshots"), "every_s": 3.0},
        service={"port": port},
    )
    traffic = Traffic(cluster)
    with running(config) as worker:
        traffic.start()
        try:
            until_it_works(worker)
            with Prometheus(folder / "prometheus", [port]) as server:
                yield Scene(kafka, traffic, worker, server)
        finally:
            traffic.stop()
