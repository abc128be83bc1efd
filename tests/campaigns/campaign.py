"""Workers on a stream that may be disturbed, brought to rest and judged: what all campaigns share."""

import contextlib
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stream_adapter import config
from stream_adapter.config import KafkaTopics
from stream_adapter.demo.broker import LocalKafka
from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, WEIGHTS
from stream_adapter.encode.loading import load_models
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.reading import TopicReader
from stream_adapter.transport.kafka.topics import create_topics, topic_specs
from tests.campaigns.stream import PROBE, Stream
from tests.campaigns.verdict import Account, alike, answers, judge, judge_late
from tests.campaigns.workers import Workers

PARTITIONS = 6
PROBES = 10
SESSION_S = 6.0
EXPELLED_S = SESSION_S + 6.0  # after which a worker that stands still has lost what it had
CLASSES = ("red circle", "blue star", "green triangle", "yellow diamond", "pink heart", "brown hexagon")


@dataclass
class Report:
    """What the campaign found; `digests_equal` is about the survivors and a fresh worker, and about their answers.

    `labels…` are about labels that came apart from their events.
    """

    kills: int = 0
    broker_restarts: int = 0
    zombies: int = 0
    rescales: int = 0
    events: int = 0
    labelled: int = 0
    lost: int = 0
    doubled: int = 0
    labels: int = 0
    labels_lost: int = 0
    labels_doubled: int = 0
    digests_equal: bool = False
    answers_equal: bool = False
    ended_by_themselves: list[int] = field(default_factory=list)
    seconds: float = 0.0
    examples: list[str] = field(default_factory=list)


class Campaign:
    """Workers, a broker and a stream, disturbed on purpose.

    Args:
        kafka: the broker; may be restarted.
        folder: for logs, configurations and snapshots.
        workers: how many.
        rate: events a second.
        budget: most anchors; pruning goes on most of the time.
        seed: of the stream and the moments.
        late: whether labels come apart from their events.
    """

    def __init__(
        self,
        kafka: LocalKafka,
        folder: Path,
        *,
        workers: int,
        rate: float,
        budget: int,
        seed: int,
        late: bool = False,
    ) -> None:
        self._late = late
        self.report = Report()
        self.classes = CLASSES
        self._kafka = kafka
        self._folder = folder
        self._rng = random.Random(seed)
        prefix = f"campaign-{seed}-{time.time_ns()}"
        paths = [self._configure(f"worker-{number}", prefix, budget) for number in range(workers + 1)]
        self._fresh = workers  # the number of the one that is started last
        self._config = config.load(paths[0])
        encoder, vocabulary = load_models(self._config.encoder, self._config.vocabulary)
        create_topics(Connection(self._config.kafka), topic_specs(self._config.kafka.topics, partitions=PARTITIONS))
        self.stream = Stream(
            kafka.bootstrap_servers,
            self._config.kafka.topics.images,
            PARTITIONS,
            vocabulary,
            encoder.fingerprint,
            rate=rate,
            seed=seed,
            labels_topic=self._config.kafka.topics.labels if late else None,
        )
        self._probes = [self.stream.vector(number % len(CLASSES)) for number in range(PROBES)]
        self.workers = Workers(paths, folder)

    def run(self, disturb: Callable[["Campaign"], None]) -> Report:
        """Let it run, disturb it, let it come to rest, and judge."""
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            stack.callback(self.workers.stop)
            for number in range(self._fresh):
                self.workers.start(number)
            self.stream.start()
            self._wait("the first predictions", lambda: self._all_metrics("predictions_total", at_least=1), 120)
            disturb(self)
            self.stream.stop()
            self._wait("every event to be read", self._all_read, 180, while_still=self._predicted)
            self._wait("the workers to come to rest", self._at_rest, 90)
            self.workers.start(self._fresh)
            self._wait("a fresh worker to get partitions", self._fresh_has_work, 90)
            self._wait("all workers to come to rest", self._at_rest, 90)
            differing = self._ask_until_equal()
            digests = self._digests()
            self.report.ended_by_themselves = self.workers.ended
        report = self.report
        lost, doubled = self._judge()
        report.lost, report.doubled = len(lost), len(doubled)
        report.examples += (lost + doubled)[:10]
        report.digests_equal = len(digests) == 1 and None not in digests
        report.answers_equal = not differing
        report.examples += differing[:3]
        report.seconds = round(time.monotonic() - started, 1)
        return report

    def _judge(self) -> tuple[list[str], list[str]]:
        """What was lost and what was doubled, one sentence each."""
        account = Account.of(self._config.kafka)
        self.report.events = account.records.total()
        self.report.labelled = sum(map(len, account.labels.values()))
        if self._late:
            self.report.labels, *labels = judge_late(self._config.kafka)
            self.report.labels_lost, self.report.labels_doubled = map(len, labels)
            self.report.examples += [one for both in labels for one in both][:10]
        return judge(self._config.kafka, account, late=self._late)

    def _any(self) -> int:
        return self._rng.choice(self.workers.started)

    def _broker_killed(self) -> None:
        self._kafka.kill()
        time.sleep(self._rng.uniform(0.0, 2.0))
        self._kafka.start()

    def _stand_still(self, number: int, seconds: float) -> None:
        self.workers.signal(number, signal.SIGSTOP)
        self._pass(seconds)
        self.workers.signal(number, signal.SIGCONT)

    def _stop_in_order(self, away_s: float) -> None:
        number = self._any()
        self.workers.stop_one(number)
        self._pass(away_s)
        self.workers.start(number)

    def _pass(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.workers.keep_alive()
            time.sleep(0.05)

    def _wait(
        self, what: str, condition: Callable[[], bool], seconds: float, while_still: Callable[[], float] = lambda: 0.0
    ) -> None:
        """Wait so many seconds at most, or from the last time on that a figure changed."""
        until, figure = time.monotonic() + seconds, while_still()
        while not condition():
            self.workers.keep_alive()
            before, figure = figure, while_still()
            if figure != before:
                until = time.monotonic() + seconds
            if time.monotonic() > until:
                self.report.examples.append(f"waited {seconds:.0f} s for {what}")
                return
            time.sleep(0.2)

    def _predicted(self) -> float:
        """A busy machine works off what waits slowly, and what is still to be read is not lost."""
        return sum(self.workers.metric(number, "predictions_total") or 0.0 for number in self.workers.started)

    def _all_metrics(self, name: str, at_least: float) -> bool:
        values = [self.workers.metric(number, name) for number in self.workers.started]
        return all(value is not None and value >= at_least for value in values)

    def _digests(self) -> set[float | None]:
        return {self.workers.metric(number, "anchors_digest") for number in self.workers.started}

    def _at_rest(self) -> bool:
        """Whether all have the same anchors, all in force, and that for a while."""
        before = self._digests()
        time.sleep(2.0)
        pending = {self.workers.metric(number, "learner_pending_changes") for number in self.workers.started}
        return len(before) == 1 and None not in before and self._digests() == before and pending == {0.0}

    def _all_read(self) -> bool:
        reader = TopicReader(
            Connection(self._config.kafka), self._config.kafka.topics.images, self._config.kafka.group_id
        )
        try:
            return not any(reader.portions())
        finally:
            reader.close()

    def _fresh_has_work(self) -> bool:
        return (self.workers.metric(self._fresh, "assigned_partitions") or 0) > 0

    def _ask_until_equal(self, rounds: int = 5) -> list[str]:
        """Where the answers to the same probes differ between partitions, and so between workers.

        The probes are traffic too. Where a worker tells the others about its traffic in the midst of them, what it told
        is known to all in the next round.
        """
        differing: list[str] = []
        for number in range(rounds):
            differing = self._differences(self._ask(f"{number}-"))
            if not differing:
                break
            self._wait("the workers to come to rest after the probes", self._at_rest, 30)
        return differing

    def _ask(self, name: str) -> dict[str, Any]:
        """The probes, sent to every partition: what each worker says about each."""
        for number, vector in enumerate(self._probes):
            for partition in range(PARTITIONS):
                self.stream.probe(f"{PROBE}{name}{number}", vector, partition)
        said: dict[str, Any] = {}

        def complete() -> bool:
            said.update(answers(self._config.kafka, PROBE + name))
            return len(said) == PROBES * PARTITIONS

        self._wait("answers to the probes", complete, 60)
        return said

    def _differences(self, said: dict[str, Any]) -> list[str]:
        found = []
        for number in range(PROBES):
            one = said.get(f"{number}-0", {})
            for partition in range(PARTITIONS):
                other = said.get(f"{number}-{partition}", {})
                unlike = {part: (one.get(part), other.get(part)) for part in {*one, *other}}
                unlike = {part: two for part, two in unlike.items() if not alike(*two)}
                if unlike or not other:
                    found.append(f"probe {number} on partition {partition}: {unlike or 'no answer'}")
        return found

    def _configure(self, name: str, prefix: str, budget: int) -> Path:
        topics = {role: f"{prefix}-{role}" for role in KafkaTopics.model_fields}
        document = {
            "encoder": {"model": MODEL_NAME, "model_config_file": str(CONFIG), "pretrained": str(WEIGHTS)},
            "vocabulary": {"classes": list(CLASSES), "templates": "simple"},
            "adapter": {"anchors": {"budget": budget}},
            "batch": {"max_batch": 16, "max_wait_ms": 20},
            "kafka": {
                "bootstrap_servers": self._kafka.bootstrap_servers,
                "topics": topics,
                "group_id": prefix,
                "group_instance_id": name,
                "session_timeout_ms": int(SESSION_S * 1000),
                "transaction_timeout_ms": 5_000,
                "consumer": {"fetch_max_wait_ms": 100},
            },
            "snapshots": {"folder": str(self._folder / f"{name}-snapshots"), "every_s": 2.0},
            "service": {"port": 0, "log_format": "json"},
        }
        path = self._folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path
