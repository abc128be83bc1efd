"""How soon a label changes predictions at half load: from sending it to the first prediction that names its anchor.

    python benchmarks/effect.py [--events 6000] [--seconds 105] [--share 0.5] [--json FILE]

One worker on a real Kafka, exactly once, vectors as events (d = 512, 171 classes), a third of them labelled. First it
works off a backlog, which says what it manages; then events come at half of that, or another share. Once a second one
of them has a label and a vector of its own, and the same vector comes again without label, as every second event, until
a prediction of it that a reader of committed records sees names the anchor. Beside it how long such a prediction takes
by itself, and how much of a core the worker takes. Who sends and reads is `effect_stream.py`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from kafka import KafkaConsumer
from peer_worker import topics_of
from peers import PARTITIONS, ROOT, fill, peers_python
from rich.console import Console
from rich.table import Table

from stream_adapter.config import KafkaConfig, KafkaTopics
from stream_adapter.demo.broker import LocalKafka
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import create_topics, topic_specs

KIND = "vectors"
GIVE_UP_S = 300.0


def rate_of_backlog(servers: str, worker: "subprocess.Popen[bytes]", events: int) -> float:
    """Events a second, from the first third on, until all of these are predicted."""
    consumer = KafkaConsumer(
        "effect-predictions",
        bootstrap_servers=servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    give_up_at = time.perf_counter() + GIVE_UP_S
    done, began, first = 0, 0.0, 0
    while done < events:
        done += sum(map(len, consumer.poll(20).values()))
        if not began and done >= events / 3:
            began, first = time.perf_counter(), done
        if time.perf_counter() > give_up_at or worker.poll() is not None:
            raise SystemExit(f"{done} of {events} events were predicted; the worker's state: {worker.poll()}")
    ended = time.perf_counter()
    consumer.close()
    return (done - first) / (ended - began)


def processor_s(process: int) -> float:
    """Processor time of a process so far, all threads, in seconds."""
    after_name = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def measure(servers: str, events: int, seconds: float, share: float, scratch: Path) -> dict[str, float]:
    """Start a worker, let it work off the backlog, then watch."""
    fill(servers, KIND, events)
    specs = topic_specs(KafkaTopics(**topics_of(KIND, "effect")), partitions=PARTITIONS)
    create_topics(Connection(KafkaConfig(bootstrap_servers=servers)), specs)
    environment = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", **os.environ}
    loop, endless = str(ROOT / "benchmarks" / "peer_loops.py"), str(10**9)
    command = [sys.executable, loop, "stream-adapter", KIND, servers, "effect", endless, endless]
    worker = subprocess.Popen(command, env=environment, cwd=scratch, stdout=subprocess.DEVNULL)
    try:
        most = rate_of_backlog(servers, worker, events)
        began, before_s = time.perf_counter(), processor_s(worker.pid)
        stream = [str(peers_python()), str(ROOT / "benchmarks" / "effect_stream.py")]
        said = subprocess.run(
            [*stream, servers, str(most * share), str(seconds)], env=environment, check=True, capture_output=True
        )
        cores = (processor_s(worker.pid) - before_s) / (time.perf_counter() - began)
    finally:
        worker.kill()
        worker.wait()
    seen = json.loads(said.stdout)
    effects_s, trials = seen["effects_s"], seen["trials"]
    if len(effects_s) < trials:
        print(f"{trials - len(effects_s)} of {trials} labels were not seen to have an effect", file=sys.stderr)
    (p50, p99), (own, own_p99) = (1e3 * np.quantile(of, [0.5, 0.99]) for of in (effects_s, seen["journeys_s"]))
    figures = {"events_per_s": most, "cores": cores, "labels": len(effects_s), "p50_ms": p50, "p99_ms": p99}
    return figures | {"prediction_p50_ms": own, "prediction_p99_ms": own_p99}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=6_000, help="of the backlog")
    parser.add_argument("--seconds", type=float, default=105.0, help="at that load")
    parser.add_argument("--share", type=float, default=0.5, help="of what the worker manages")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, LocalKafka(heap_mb=512) as kafka:
        figures = measure(kafka.bootstrap_servers, arguments.events, arguments.seconds, arguments.share, Path(scratch))
    table = Table(
        *figures, title=f"From a label to the first prediction that knows it, at {arguments.share} of the load"
    )
    table.add_row(*(f"{figure:,.2f}" if name == "cores" else f"{figure:,.0f}" for name, figure in figures.items()))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
