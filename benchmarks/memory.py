"""What anchors take in memory and on the wire: `python benchmarks/memory.py [--sizes 10000 100000] [--no-graph]`.

Each size in a process of its own: resident memory of what is put there, beside that without anchors.
Vectors are made up, 512 numbers each, 100 classes; ids, sources and places are as long as real ones.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from restore import D, records
from rich.console import Console
from rich.table import Table

from stream_adapter.adapter import Adapter
from stream_adapter.config import AdapterConfig, AnchorsConfig
from stream_adapter.metrics import Metrics
from stream_adapter.replica import Replica
from stream_adapter.transport.changelog import Change

_CLASSES = 100
_PORTION = 10_000


def resident() -> int:
    """Resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(number: int, graph: bool) -> None:
    """Print, in bytes an anchor: the store, the peak while it grew, the graph, a record."""
    texts = np.random.default_rng(0).normal(size=(_CLASSES, D)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    config = AdapterConfig(anchors=AnchorsConfig(budget=number, budget_per_class=number, index="auto"))
    adapter = Adapter(texts, [f"class {n}" for n in range(_CLASSES)], 100.0, config)
    replica = Replica(adapter, fingerprint="0" * 16, writer="memory", metrics=Metrics())
    portions = [range(start, min(start + _PORTION, number)) for start in range(0, number, _PORTION)]
    records(texts, range(min(_PORTION, number)))  # what making them leaves behind is there before the first reading
    before, wire = resident(), 0
    for portion in portions:
        made = records(texts, portion)
        sent = [record.to_record("memory") for record in made[:100]]
        wire = sum(
            len(one.key or b"") + len(one.value or b"") + sum(len(name) + len(value) for name, value in one.headers)
            for one in sent
        ) // len(sent)
        replica._fingerprint = made[0].fingerprint
        replica.follow(Change(record.anchor_id, record) for record in made)
    del made, sent
    store = resident()
    after = store
    if graph:
        with ThreadPoolExecutor(1) as background:
            while adapter.index_statistics.kind != "hnsw":
                adapter._index.maintain(background)
        after = resident()
    peak = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    print((store - before) // number, (peak - before) // number, (after - store) // number, wire)


def main() -> None:
    """Measure each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--no-graph", action="store_true", help="leave the HNSW graph out: it takes 0.7 ms an anchor")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, not arguments.no_graph)
        return
    table = Table("anchors", "store, bytes each", "peak while growing", "graph", "record, uncompressed", "store, MB")
    for size in arguments.sizes:
        command = [sys.executable, __file__, "--measure", str(size), *["--no-graph"] * arguments.no_graph]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        store, peak, graph, wire = done.stdout.split()
        graph = "–" if arguments.no_graph else graph
        table.add_row(f"{size:,}", store, peak, graph, wire, f"{int(store) * size / 1e6:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
