"""What anchors take in memory and on the wire: `python benchmarks/memory.py [--sizes 10000 100000] [--no-graph]`.

Each size in a process of its own: resident memory of what is put there, beside that without anchors.
Vectors are made up, 512 numbers each, 100 classes; ids, sources and places are as long as real ones.
"""

import argparse
import gc
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
from restore import FINGERPRINT, D, records
from rich.console import Console
from rich.table import Table

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.config import AdapterConfig, AnchorsConfig
from stream_adapter.journey.replica import Replica
from stream_adapter.metrics import Metrics
from stream_adapter.transport.changelog import Change

_CLASSES = 100
_PORTION = 1_000  # what a reader of the topic gets at once


def resident() -> int:
    """Resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(number: int, index: Literal["exact", "hnsw"]) -> None:
    """Print, in bytes an anchor: what is resident, its peak, a record as it is sent."""
    texts = np.random.default_rng(0).normal(size=(_CLASSES, D)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    config = AdapterConfig(anchors=AnchorsConfig(budget=number, budget_per_class=number, index=index))
    adapter = Adapter(texts, [f"class {n}" for n in range(_CLASSES)], 100.0, config)
    replica = Replica(adapter, fingerprint=FINGERPRINT, writer="memory", metrics=Metrics())
    portions = [range(start, min(start + _PORTION, number)) for start in range(0, number, _PORTION)]
    made = records(texts, portions[0])  # what making them leaves behind is there before the first reading
    sent = [record.to_record("memory") for record in made]
    sizes = [len(one.key or b"") + len(one.value or b"") for one in sent]
    sizes += [len(name) + len(value) for one in sent for name, value in one.headers]
    wire = sum(sizes) // len(sent)
    del sent, made
    gc.collect()
    before = resident()
    for portion in portions:
        replica.follow(Change(record.anchor_id, record) for record in records(texts, portion))
    gc.collect()
    after = resident()
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    print((after - before) // number, (int(peak[1]) * 1024 - before) // number, wire)


def main() -> None:
    """Measure each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--no-graph", action="store_true", help="leave the HNSW graph out: it takes 0.7 ms an anchor")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.sizes[0], arguments.measure)
        return
    table = Table("anchors", "index", "bytes an anchor", "peak", "record", "MB in all")
    for size in arguments.sizes:
        for index in ("exact",) if arguments.no_graph else ("exact", "hnsw"):
            command = [sys.executable, __file__, "--sizes", str(size), "--measure", index]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            each, peak, wire = done.stdout.split()
            table.add_row(f"{size:,}", index, each, peak, wire, f"{int(each) * size / 1e6:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
