"""`make benchmarks`: one table of ratios, each within one run: the worker beside its floor, and beside its peers.

    python benchmarks/table.py [--json FILE] [--events N] [--rounds 3]

How fast a machine is, or what else it does, falls out of a ratio, more or less; figures of two runs are not compared.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
Row = tuple[str, str, float, float, float]  # what, beside what, ours, the other's, our advantage


def measured(script: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark; returns what it wrote as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, str(HERE / script), "--json", str(result), *arguments]
        subprocess.run(command, check=True, stdout=sys.stderr)
        return dict(json.loads(result.read_text()))


def beside_peers(rows: list[dict[str, Any]]) -> list[Row]:
    """Processor time and rate, ours and each peer's."""
    found: list[Row] = []
    for ours in (row for row in rows if row["name"] == "stream-adapter"):
        for row in rows:
            if row["kind"] != ours["kind"] or row is ours:
                continue
            name, kind = row["name"], row["kind"]
            found += [
                (f"{kind}, CPU µs an event", name, ours["cpu_us"], row["cpu_us"], row["cpu_us"] / ours["cpu_us"]),
                (
                    f"{kind}, events/s",
                    name,
                    ours["events_per_s"],
                    row["events_per_s"],
                    ours["events_per_s"] / row["events_per_s"],
                ),
            ]
    return found


def grown(rows: list[dict[str, Any]]) -> list[Row]:
    """What the learner takes by anchors and classes, beside the fewest of them; and the graph beside exact search."""
    found: list[Row] = []
    for by in ("anchors", "classes"):
        least, *more = [row for row in rows if row["by"] == by]
        for row in more:
            ours, theirs = row["arithmetic_us"], least["arithmetic_us"]
            found.append((f"learner, {row[by]:,} {by}, µs an event", f"{least[by]:,}", ours, theirs, theirs / ours))
    for row in (row for row in rows if "graph_us" in row):
        what = f"nearest of {row['anchors']:,}, recall {row['recall']:.2f}, µs a query"
        found.append((what, "exact search", row["graph_us"], row["exact_us"], row["exact_us"] / row["graph_us"]))
    return found


def by_itself(effect: dict[str, Any], restore: dict[str, Any], flat: dict[str, Any]) -> list[Row]:
    """How soon a label has effect, a worker is back, and what its memory does."""
    topic, snapshot = restore["topic"]["cpu_s"], restore["snapshot"]["cpu_s"]
    rows = [
        (f"label to effect, {of}, ms", "a prediction", effect[f"{of}_ms"], effect[f"prediction_{of}_ms"])
        for of in ("p50", "p99")
    ]
    rows.append((f"{restore['anchors']:,} anchors from a snapshot, CPU s", "from the topic", snapshot, topic))
    rows.append((f"MB after {flat['events']:,} events", "once all is full", flat["mb"][-1], flat["mb"][0]))
    return [(what, beside, ours, theirs, theirs / ours) for what, beside, ours, theirs in rows]


def main() -> None:
    """Measure, print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--events", help="of each kind, beside the peers")
    parser.add_argument("--rounds", default="3")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for model, pictures, batch in (("small", "1024", "64"), ("vit-b-16", "64", "16")):
        one = measured("worker.py", "--model", model, "--pictures", pictures, "--batch", batch, "--rounds", "5")
        rows.append(
            (f"files, {model}, pictures/s", "decode and encode alone", one["worker"], one["floor"], one["ratio"])
        )
    rows += grown(measured("growth.py")["rows"])
    rows += by_itself(measured("effect.py"), measured("restore.py"), measured("flat.py", "--minutes", "9"))
    events = ["--events", arguments.events] if arguments.events else []
    rows += beside_peers(measured("peers.py", "--rounds", arguments.rounds, *events)["rows"])
    table = Table("", "beside", "ours", "theirs", "ratio", title="Above 1 is better than what it stands beside")
    for what, other, ours, theirs, ratio in rows:
        table.add_row(what, other, f"{ours:,.1f}", f"{theirs:,.1f}", f"{ratio:.2f}")
    Console().print(table)
    if arguments.json:
        names = ("what", "beside", "ours", "theirs", "ratio")
        arguments.json.write_text(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1))


if __name__ == "__main__":
    main()
