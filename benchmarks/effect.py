"""How soon a label changes predictions at half load: from sending it to the first prediction that names its anchor.

    python benchmarks/effect.py [--events 6000] [--seconds 105] [--json FILE]

One worker on a real Kafka, exactly once, vectors as events (d = 512, 171 classes), a third of them labelled. First it
works off a backlog, which says what it manages; then events come at half of that. Once a second one of them has a
label and a vector of its own, and the same vector comes again without label, as every second event, until a prediction
of it that a reader of committed records sees names the anchor. Beside it how long such a prediction takes by itself.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from kafka import KafkaConsumer, KafkaProducer
from peer_work import NAMES, D
from peer_worker import topics_of
from peers import PARTITIONS, ROOT, fill, payloads
from rich.console import Console
from rich.table import Table

from stream_adapter.config import KafkaConfig, KafkaTopics
from stream_adapter.demo.broker import LocalKafka
from stream_adapter.encode.vectors_only import FINGERPRINT
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.events.image import anchor_id_of
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import create_topics, topic_specs

KIND = "vectors"
SOURCE = "/peers"
TRIAL_EVERY_S, LAST_S = 1.0, 5.0
GIVE_UP_S = 300.0


class Sender:
    """Sends the stream, and the trials in it."""

    def __init__(self, servers: str) -> None:
        self._producer = KafkaProducer(bootstrap_servers=servers, linger_ms=0)
        self._number = 0
        self.sent_s: dict[str, float] = {}  # trials and probes
        self.seen: set[int] = set()  # trials that had their effect

    def send(self, id: str, data: bytes, label: str | None) -> None:
        """One event, now."""
        headers = image_event_headers(
            source=SOURCE, id=id, content_type=EMBEDDING, time_ms=int(time.time() * 1e3), label=label
        )
        headers += (("ce_fingerprint", FINGERPRINT.encode()),)
        self.sent_s[id] = time.perf_counter()
        self._producer.send(KIND, data, id.encode(), list(headers), partition=self._number % PARTITIONS)
        self._number += 1

    def stream(self, rate: float, seconds: float) -> None:
        """So many events a second, evenly; a machine that stands still makes up for it."""
        rng, began = np.random.default_rng(1), time.perf_counter()
        events, vectors = payloads(KIND, sys.maxsize), list[bytes]()
        number, last_s = 0, -TRIAL_EVERY_S
        while (now := time.perf_counter() - began) < seconds:
            while number < now * rate:
                number += 1
                waiting = [trial for trial in range(len(vectors)) if trial not in self.seen]
                if now >= last_s + TRIAL_EVERY_S and now < seconds - LAST_S:
                    vector, last_s = rng.normal(size=D), now
                    vectors.append((vector / np.linalg.norm(vector)).astype("<f4").tobytes())
                    self.send(f"trial-{len(vectors) - 1}", vectors[-1], NAMES[len(vectors) % len(NAMES)])
                elif waiting and number % 2:
                    trial = waiting[number // 2 % len(waiting)]
                    self.send(f"probe-{trial}-{number}", vectors[trial], None)
                else:
                    data, _, name = next(events)
                    self.send(f"plain-{number}", data, name if number % 3 == 0 else None)
            time.sleep(0.002)
        self._producer.flush()


def measure(servers: str, events: int, seconds: float, scratch: Path) -> dict[str, float]:
    """Start a worker, let it work off the backlog, then watch."""
    fill(servers, KIND, events)
    specs = topic_specs(KafkaTopics(**topics_of(KIND, "effect")), partitions=PARTITIONS)
    create_topics(Connection(KafkaConfig(bootstrap_servers=servers)), specs)
    command = [sys.executable, str(ROOT / "benchmarks" / "peer_loops.py"), "stream-adapter", KIND, servers, "effect"]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", **os.environ}
    endless = str(10**9)
    worker = subprocess.Popen([*command, endless, endless], env=environment, cwd=scratch, stdout=subprocess.DEVNULL)
    consumer = KafkaConsumer(
        "effect-predictions",
        bootstrap_servers=servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    give_up_at = time.perf_counter() + GIVE_UP_S
    try:
        done, began, first = 0, 0.0, 0
        while done < events:
            done += sum(map(len, consumer.poll(20).values()))
            if not began and done >= events / 3:
                began, first = time.perf_counter(), done
            if time.perf_counter() > give_up_at or worker.poll() is not None:
                raise SystemExit(f"{done} of {events} events were predicted; the worker's state: {worker.poll()}")
        most = (done - first) / (time.perf_counter() - began)
        sender = Sender(servers)
        sending = threading.Thread(target=sender.stream, args=(most / 2, seconds))
        sending.start()
        effects_s, journeys_s, ending_s = [], [], time.perf_counter() + seconds + 2.0
        while time.perf_counter() < ending_s:
            for record in (record for part in consumer.poll(5).values() for record in part):
                kind, _, rest = (record.key or b"").decode().partition("-")
                if kind != "probe":
                    continue
                now, trial = time.perf_counter(), int(rest.partition("-")[0])
                journeys_s.append(now - sender.sent_s[f"probe-{rest}"])
                named = {anchor["id"] for anchor in json.loads(record.value)["anchors"]}
                if trial not in sender.seen and anchor_id_of(SOURCE, f"trial-{trial}") in named:
                    sender.seen.add(trial)
                    effects_s.append(now - sender.sent_s[f"trial-{trial}"])
        sending.join()
    finally:
        worker.kill()
        worker.wait()
        consumer.close()
    trials = sum(id.startswith("trial") for id in sender.sent_s)
    if len(effects_s) < trials:
        print(f"{trials - len(effects_s)} of {trials} labels were not seen to have an effect", file=sys.stderr)
    (p50, p99), (own, own_p99) = (1e3 * np.quantile(of, [0.5, 0.99]) for of in (effects_s, journeys_s))
    figures = {"events_per_s": most, "labels": len(effects_s), "p50_ms": p50, "p99_ms": p99}
    return figures | {"prediction_p50_ms": own, "prediction_p99_ms": own_p99}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=6_000, help="of the backlog")
    parser.add_argument("--seconds", type=float, default=105.0, help="at half load")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, LocalKafka(heap_mb=512) as kafka:
        figures = measure(kafka.bootstrap_servers, arguments.events, arguments.seconds, Path(scratch))
    table = Table(*figures, title="From a label to the first prediction that knows it, at half load")
    table.add_row(*(f"{figure:,.0f}" for figure in figures.values()))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
