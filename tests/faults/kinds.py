"""Every kind of fault that a campaign injects into workers, broker, network, disk and stream."""

import contextlib
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import yaml
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource
from kafka.errors import InvalidPartitionsError, KafkaError

from stream_adapter.demo.broker import LocalKafka
from tests.campaigns.campaign import CLASSES, EXPELLED_S, PARTITIONS, Campaign
from tests.faults.hostile_records import Sent, event_with_a_long_id, foreign_anchor, hostile_event
from tests.faults.proxy import stand_between
from tests.faults.verdict import judge
from tests.faults.watch import Watch

_DISK_KB = 16_000  # room for three snapshots of these workers, and little more
_SMALL_RECORD = 1_500  # bytes: anchors fit, the evidence on the traffic does not
_SMALL_PREDICTION = 8_000  # bytes: what is said fits, the id of an event that has 5,000 characters does not


class FaultCampaign(Campaign):
    """A `Campaign` that can hurt in every way, with a proxy before the broker and snapshots on small disks.

    Args:
        kafka, folder, workers, rate, seed: as for `Campaign`.
        spare_one: never kill, stop or suspend the first worker, so that its memory can be watched for hours.
    """

    def __init__(
        self, kafka: LocalKafka, folder: Path, *, workers: int, rate: float, seed: int, spare_one: bool = False
    ) -> None:
        self._spared = 0 if spare_one else -1
        self._direct = kafka.bootstrap_servers
        self._proxy = stand_between(kafka)
        super().__init__(kafka, folder, workers=workers, rate=rate, budget=300, seed=seed)
        direct = self._config.kafka.model_copy(update={"bootstrap_servers": self._direct})
        self._config = self._config.model_copy(update={"kafka": direct})
        self._fingerprint = self.stream._fingerprint
        self._dimension = self.stream._vocabulary.text_vectors.shape[1]
        self._partition_count = PARTITIONS
        self._hurt: set[int] = set()  # workers that stand still on purpose
        self._sender = KafkaProducer(
            bootstrap_servers=self._direct,
            enable_idempotence=False,
            retries=3,
            acks="all",
            max_request_size=2**24,
            metadata_max_age_ms=1_000,
            reconnect_backoff_max_ms=1_000,  # it would wait for 30 s after a broker that was away
            max_block_ms=120_000,
        )
        self.kinds = Counter[str]()
        self.watch = Watch(self.workers, self._hurt, folder / "sizes.jsonl")
        self.verdict_events = self.letters = 0

    def close(self) -> None:
        """Give everything back."""
        self.watch.stop()
        self._proxy.stop()
        while disks := list(self._disks()):
            for disk in disks:
                subprocess.run(["umount", "--lazy", str(disk)], check=True)

    @property
    def faults(self) -> dict[str, Callable[[], object]]:
        """All that can happen, by name."""
        return {
            "kill": lambda: self.workers.kill(self._any()),
            "kill while it starts": self._kill_while_it_starts,
            "stand still": lambda: self._suspended(self._any(), self._rng.choice([2.0, EXPELLED_S])),
            "stand still while it starts": self._suspended_while_it_starts,
            "stop in order": lambda: self._stop_in_order(3.0),
            "rebalance storm": self._storm,
            "broker killed": self._broker_killed,
            "broker away, worker starts without": self._start_without_broker,
            "slow network": self._slow,
            "silent network": self._silent,
            "connections reset": self._resets,
            "hostile events": lambda: self._send("images", 60, self._hostile),
            "tombstones": lambda: self._send("images", 250, lambda: Sent(b"deleted", None, ())),
            "foreign records": self._foreign_records,
            "anchors deleted from outside": lambda: self._send("anchors", 20, lambda: Sent(b"nobody's", None, ())),
            "disk full": self._disk_full,
            "disk read-only": self._disk_read_only,
            "few file descriptors": self._few_descriptors,
            "outputs too large": self._small_records,
            "partitions added": self._more_partitions,
            "wrong labels": self._wrong_labels,
            "labels of one class": lambda: self._poison(80, lambda n: CLASSES[0]),
            "traffic near a name": lambda: self._poison(300, lambda n: None, near=2),
            "two of one name": self._twin,
        }

    def disturb_for(self, seconds: float, only: Sequence[str] = ()) -> None:
        """Inject faults until the time is over: all kinds in turn, in an order that is drawn anew each time."""
        until = time.monotonic() + seconds
        self.watch.kinds = frozenset(only or self.faults)
        deck: list[str] = []
        while time.monotonic() < until:
            if not deck:
                names = list(only or self.faults)
                deck = self._rng.sample(names, len(names))
            name = deck.pop()
            self.watch.note(name)
            self.faults[name]()
            self.kinds[name] += 1
            self._pass(self._rng.expovariate(1 / 2.0))

    def take_broker_away(self, seconds: float) -> None:
        """Leave the workers without any broker for so long, and do nothing else to them."""
        name = "no broker"
        self.watch.kinds = frozenset([name])
        self.watch.note(name)
        self._kafka.kill()
        try:
            self._pass(seconds)
        finally:
            self._kafka.start()
        self.kinds[name] += 1
        self._pass(60.0)

    def _judge(self) -> tuple[list[str], list[str]]:
        verdict = judge(self._config.kafka, self._fingerprint)
        self.verdict_events, self.letters = verdict.records, verdict.letters
        return verdict.lost, verdict.doubled

    def _kill_while_it_starts(self) -> None:
        number = self._any()
        for _ in range(3):
            self.workers.kill(number)
            time.sleep(self._rng.uniform(0.0, 2.5))

    def _suspended(self, number: int, seconds: float) -> None:
        self._hurt.add(number)
        self._stand_still(number, seconds)
        self._hurt.discard(number)

    def _suspended_while_it_starts(self) -> None:
        number = self._any()
        self.workers.kill(number)
        time.sleep(self._rng.uniform(0.0, 2.5))
        self._suspended(number, EXPELLED_S)

    def _storm(self) -> None:
        for _ in range(4):
            self._stop_in_order(0.3)

    def _start_without_broker(self) -> None:
        self._kafka.kill()
        try:
            self.workers.kill(self._any())
            self._pass(20.0)
        finally:
            self._kafka.start()

    def _slow(self) -> None:
        self._proxy.delay_s = 0.2
        self._pass(6.0)
        self._proxy.delay_s = 0.0

    def _silent(self) -> None:
        self._proxy.silent = True
        self._pass(self._rng.choice([3.0, 12.0]))
        self._proxy.silent = False

    def _resets(self) -> None:
        for _ in range(5):
            self._proxy.reset()
            self._pass(0.5)

    def _hostile(self) -> Sent:
        return hostile_event(self._rng, self._fingerprint, self._dimension, CLASSES)

    def _foreign(self) -> Sent:
        return foreign_anchor(self._rng, self._fingerprint, self._dimension)

    def _foreign_records(self) -> None:
        for role in ("anchors", "labels", "classes", "waiting"):
            self._send(role, 20, self._foreign)

    def _send(self, role: str, number: int, make: Callable[[], Sent]) -> None:
        topic = getattr(self._config.kafka.topics, role)
        partitions = sorted(self._sender.partitions_for(topic))
        for _ in range(number):
            one = make()
            at = self._rng.choice(partitions)
            self._sender.send(topic, one.value, key=one.key, headers=list(one.headers), partition=at)
        with contextlib.suppress(Exception):  # the broker may be away: what counts is what is on the topic
            self._sender.flush(timeout=20)

    def _disks(self) -> Iterable[Path]:
        return (path for path in self._folder.glob("worker-*-snapshots") if path.is_mount())

    def _on_a_disk(self, hurt: Callable[[Path], object], heal: Callable[[Path], object]) -> None:
        disks = list(self._disks())
        for disk in disks:
            hurt(disk)
        if not disks:  # no right to mount: files may not grow any more instead
            pids = self.watch.pids()
            for pid in pids:
                _limit(pid, resource.RLIMIT_FSIZE, 64 * 1024)
        self._pass(6.0)
        for disk in disks:
            heal(disk)
        if not disks:
            for pid in pids:
                _limit(pid, resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)

    def _disk_full(self) -> None:
        def fill(disk: Path) -> None:
            with contextlib.suppress(OSError), (disk / "filler").open("wb") as file:
                while True:
                    file.write(bytes(4_096))
                    file.flush()

        self._on_a_disk(fill, lambda disk: (disk / "filler").unlink(missing_ok=True))

    def _disk_read_only(self) -> None:
        def cover(disk: Path) -> None:  # a disk on which a file is open for writing cannot be remounted
            subprocess.run(["mount", "--bind", str(disk), str(disk)], check=False)
            subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=False)

        self._on_a_disk(cover, lambda disk: subprocess.run(["umount", "--lazy", str(disk)], check=False))

    def _few_descriptors(self) -> None:
        limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in self.watch.pids()}
        for pid in limits:
            _limit(pid, resource.RLIMIT_NOFILE, 64)
        self._proxy.reset()  # so that descriptors are needed
        self._pass(8.0)
        for pid, (soft, _) in limits.items():
            _limit(pid, resource.RLIMIT_NOFILE, soft)

    def _small_records(self) -> None:
        self._set_limits(_SMALL_RECORD, _SMALL_PREDICTION)
        vector = self.stream.vector(0)
        self._send("images", 4, lambda: event_with_a_long_id(self._rng, self._fingerprint, vector))
        self._pass(6.0)
        self._set_limits(2**20, 2**20)

    def _set_limits(self, anchors: int, predictions: int) -> None:
        topics = self._config.kafka.topics
        limits = [
            ConfigResource("topic", topic, {"max.message.bytes": str(size)})
            for topic, size in ((topics.anchors, anchors), (topics.predictions, predictions))
        ]
        self._administer(lambda admin: admin.alter_configs(limits))

    def _administer(self, change: Callable[[KafkaAdminClient], object]) -> None:
        """Ask the broker, which may have come back just now, until it answers."""
        until = time.monotonic() + 60.0
        while True:
            try:
                with contextlib.closing(KafkaAdminClient(bootstrap_servers=self._direct)) as admin:
                    change(admin)
                return
            except InvalidPartitionsError:  # it was done, and the answer lost
                return
            except KafkaError:
                if time.monotonic() > until:
                    raise
                self._pass(1.0)

    def _more_partitions(self) -> None:
        if self._partition_count >= PARTITIONS + 3:
            return
        self._partition_count += 1
        topic = self._config.kafka.topics.images
        self._administer(lambda admin: admin.create_partitions({topic: self._partition_count}))
        time.sleep(0.5)
        self._send("images", 20, self._hostile)

    def _any(self) -> int:
        return self._rng.choice([number for number in self.workers.started if number != self._spared])

    def _poison(self, number: int, label: Callable[[int], str | None], near: int | None = None) -> None:
        """Events of all classes, or near one, under labels that somebody chose."""
        for n in range(number):
            vector = self.stream.vector(n % len(CLASSES) if near is None else near)
            self.stream._put(f"poison-{self.kinds.total()}-{n}", n % PARTITIONS, label(n), vector)

    def _wrong_labels(self) -> None:
        """Near-copies of one picture under another class's name."""
        vector = self.stream.vector(0)
        for number in range(60):
            noisy = vector + self.stream._rng.normal(size=vector.shape).astype("f4") * 0.003
            id = f"wrong-{self.kinds.total()}-{number}"
            self.stream._put(id, number % PARTITIONS, CLASSES[1], noisy / (noisy @ noisy) ** 0.5)

    def _twin(self) -> None:
        """A second process under the name of a worker: one of the two ends, and says why."""
        number = self._any()
        twin = len(self.workers._configs)
        document = yaml.safe_load(self.workers._configs[number].read_text())
        document["snapshots"] = {"folder": str(self._folder / "twin-snapshots")}
        path = self._folder / "twin.yaml"
        path.write_text(yaml.safe_dump(document))
        self.workers._configs.append(path)
        self.workers._processes.append(None)
        self.workers.start(twin)
        both = self.workers._processes[number], self.workers._processes[twin]

        def one_ended() -> bool:  # and was started again
            return (self.workers._processes[number], self.workers._processes[twin]) != both

        self._wait("one of two with one name to end", one_ended, 90.0)
        process = self.workers._processes.pop()
        self.workers._configs.pop()
        if process is not None:
            process.kill()
            process.join()

    def _configure(self, name: str, prefix: str, budget: int) -> Path:
        path = super()._configure(name, prefix, budget)
        document = yaml.safe_load(path.read_text())
        document["kafka"]["bootstrap_servers"] = f"127.0.0.1:{self._proxy.port}"
        # Loading torch is no progress, and takes four of them a minute where the machine has other things to do.
        document["service"]["stuck_after_s"] = 180.0
        # What is bounded shall be full within a minute: what grows after that, grows for ever.
        bounds = ("wait_max_events", "reference_max_events", "remembered_max_events")
        document["labels"] = dict.fromkeys(bounds, 1_000)
        path.write_text(yaml.safe_dump(document))
        disk = Path(document["snapshots"]["folder"])
        disk.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_DISK_KB}k", "none", str(disk)], check=False, capture_output=True
        )
        return path


def _limit(pid: int, what: int, soft: int) -> None:
    with contextlib.suppress(OSError, ProcessLookupError):
        _, hard = resource.prlimit(pid, what)
        resource.prlimit(pid, what, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
