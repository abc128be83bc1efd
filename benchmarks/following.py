"""How soon all workers use what one has learned: from the moment its anchor is committed until another one has it.

    python benchmarks/following.py [--labels 60] [--workers 3]

Workers in processes of their own on a real Kafka, with the bundled small CLIP; labelled vectors come one by one. For
each, the first worker that has the anchor is the one that learned it, just before its commit; the last one heard of it
through the anchors topic. Metrics are asked for in turn, about a hundred times a second, which is the resolution.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from stream_adapter.demo.broker import LocalKafka
from tests.campaigns.campaign import PARTITIONS, Campaign


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=60)
    parser.add_argument("--workers", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, LocalKafka() as kafka:
        campaign = Campaign(kafka, Path(name), workers=given.workers, rate=1.0, budget=10_000, seed=0)
        workers, stream = campaign.workers, campaign.stream
        try:
            for number in range(given.workers):
                workers.start(number)
            for number in range(given.workers):
                while workers.metric(number, "ready") != 1.0:
                    time.sleep(0.1)
            time.sleep(5.0)  # the group settles
            delays_s = []
            for event in range(given.labels):
                known = [workers.metric(number, "anchors") or 0.0 for number in range(given.workers)]
                stream.teach(f"label-{event}", event % len(campaign.classes), event % PARTITIONS)
                heard: dict[int, float] = {}
                while len(heard) < given.workers:
                    for number in set(range(given.workers)) - heard.keys():
                        if (workers.metric(number, "anchors") or 0.0) > known[number]:
                            heard[number] = time.perf_counter()
                delays_s.append(max(heard.values()) - min(heard.values()))
        finally:
            workers.stop()
    table = Table(title=f"{given.labels} labels, {given.workers} workers: from the first with an anchor to the last")
    for column in ("median", "95 %", "largest"):
        table.add_column(f"{column}, ms", justify="right")
    table.add_row(*(f"{1e3 * value:.0f}" for value in (*np.percentile(delays_s, [50, 95]), max(delays_s))))
    Console().print(table)


if __name__ == "__main__":
    main()
