"""The worker beside what a user would write: bare loops on both Kafka clients, Quix Streams and Bytewax.

    python benchmarks/peers.py [--json FILE] [--events N] [--rounds 3] [--only NAME ...]

Each reads the same topic of a real Kafka, pictures through the small CLIP or vectors (d = 512, 171 classes), a third of
them labelled; answers, learns the labels, and writes predictions and anchors with the strongest guarantee that it has.
Each runs in a process of its own, one after the other, in rounds: processor time of all its
threads (the broker's apart), events a second from the end of a warm-up on, and the most memory it ever held. BLAS and
torch get one thread everywhere: two cost more and are no faster on vectors. What the peers need is put into
build/peers the first time. The figures are medians over the rounds.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic
from peer_work import CLASSES, NAMES, D
from peer_worker import topics_of
from rich.console import Console
from rich.table import Table

from stream_adapter.config import KafkaConfig, KafkaTopics
from stream_adapter.demo.broker import LocalKafka
from stream_adapter.demo.pictures import draw
from stream_adapter.demo.scenes import class_scene
from stream_adapter.encode.vectors_only import FINGERPRINT
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import create_topics, topic_specs

ROOT = Path(__file__).parents[1]
PEERS = ("stream-adapter", "bare-kafka-python", "bare-confluent", "quix", "bytewax")
KINDS = ("pictures", "vectors")
EVENTS = {"pictures": 1_500, "vectors": 12_000}
WARM_UP = 0.2  # of the events, before anything is measured
PARTITIONS = 2
TIMEOUT_S = 300
REQUIREMENTS = ("bytewax>=0.21,<0.22", "confluent-kafka>=2.8,<3", "quixstreams>=3.20,<4")


def peers_python() -> Path:
    """An interpreter with the peers beside everything that this one has."""
    folder = ROOT / "build" / "peers"
    stamp = folder / hashlib.sha256(repr((REQUIREMENTS, sys.version)).encode()).hexdigest()[:16]
    python = folder / "bin" / "python"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        # Behind its own: what a peer pins goes before what is here.
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "here.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
        stamp.touch()
    return python


def payloads(kind: str, number: int) -> Iterator[tuple[bytes, str, str]]:
    """Payload, content type and class: drawn pictures as JPEG, or vectors around 171 centres."""
    rng = np.random.default_rng(0)
    if kind == "pictures":
        names = CLASSES[:40]
        drawn = []
        for position in range(min(number, 240)):
            buffer = io.BytesIO()
            draw(class_scene(names[position % len(names)], rng), "plain", rng).save(buffer, "JPEG", quality=92)
            drawn.append((buffer.getvalue(), "image/jpeg", names[position % len(names)]))
        yield from (drawn[position % len(drawn)] for position in range(number))
        return
    centres = rng.normal(size=(len(NAMES), D))
    for _ in range(number):
        chosen = int(rng.integers(len(NAMES)))
        vector = centres[chosen] + rng.normal(size=D)
        yield (vector / np.linalg.norm(vector)).astype("<f4").tobytes(), EMBEDDING, NAMES[chosen]


def fill(servers: str, kind: str, number: int) -> None:
    """Make the topic of a kind with its events, every third of them labelled."""
    admin = KafkaAdminClient(bootstrap_servers=servers)
    admin.create_topics([NewTopic(kind, PARTITIONS, 1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=servers, linger_ms=20, batch_size=2**18)
    for position, (data, content_type, name) in enumerate(payloads(kind, number)):
        headers = image_event_headers(
            source="/peers",
            id=f"event-{position}",
            content_type=content_type,
            time_ms=1_700_000_000_000 + position,
            label=name if position % 3 == 0 else None,
        )
        if kind == "vectors":
            headers += (("ce_fingerprint", FINGERPRINT.encode()),)
        key = f"event-{position}".encode()
        producer.send(kind, data, key=key, headers=list(headers), partition=position % PARTITIONS)
    producer.flush()
    producer.close()


def run(name: str, kind: str, servers: str, events: int, number: int, scratch: Path) -> dict[str, float]:
    """One peer over all events of a kind, in a process of its own, writing to topics of its own."""
    topics = f"{name}-{kind}-{number}"
    specs = topic_specs(KafkaTopics(**topics_of(kind, topics)), partitions=PARTITIONS)
    create_topics(Connection(KafkaConfig(bootstrap_servers=servers)), specs)
    here = name in ("stream-adapter", "bare-kafka-python")
    python = sys.executable if here else str(peers_python())
    command = [python, str(ROOT / "benchmarks" / "peer_loops.py"), name, kind, servers, topics]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", **os.environ}
    done = subprocess.run(
        [*command, str(events), str(int(events * WARM_UP))],
        env=environment,
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"cpu_us"')]
    if not lines:
        raise SystemExit(f"{name} with {kind} ended with {done.returncode}:\n{done.stderr[-3_000:]}")
    return dict(json.loads(lines[-1]))


def main() -> None:
    """Measure all of them in turn; print a table, and write the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--events", type=int, help=f"of each kind; {EVENTS} without")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    arguments = parser.parse_args()
    peers_python()
    runs: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch, LocalKafka(heap_mb=512) as kafka:
        events = {kind: arguments.events or EVENTS[kind] for kind in arguments.kinds}
        for kind in arguments.kinds:
            fill(kafka.bootstrap_servers, kind, events[kind])
        for number in range(arguments.rounds):
            for kind in arguments.kinds:
                for name in arguments.only:
                    one = run(name, kind, kafka.bootstrap_servers, events[kind], number, Path(scratch))
                    print(f"round {number + 1}: {name}, {kind}: {one}", file=sys.stderr)
                    runs.setdefault((name, kind), []).append(one)
    rows: list[dict[str, Any]] = [
        {"name": name, "kind": kind, **{figure: round(median(one[figure] for one in of), 1) for figure in of[0]}}
        for (name, kind), of in runs.items()
    ]
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "events": events, "rounds": arguments.rounds}, indent=1))
    table = Table("", "", "CPU µs an event", "events/s", "MB", title="Beside what a user would write")
    for row in rows:
        table.add_row(row["kind"], row["name"], *(f"{row[name]:,.0f}" for name in ("cpu_us", "events_per_s", "rss_mb")))
    Console().print(table)


if __name__ == "__main__":
    main()
