"""What the live page costs the worker: events a second without it, with it, and with somebody looking.

    python benchmarks/page.py [--events 20000] [--batch 64] [--rounds 5] [--clients 1]

Events are vectors, so that there is no model to hide behind: nothing costs the worker less a batch, and nothing shows
the page's share more. All runs are in this process on the same recorded file, in turn, so that a machine whose speed
drifts shows itself; what is compared is a round's run with the run without a page beside it. Whoever looks is a process
of its own that asks once a second for all that the page asks for. Beside the wall clock stand the CPU seconds of the
thread that owns the adapter, which other people's load disturbs least, and those of the whole process.

The last table is the cost of the hand-over alone, and what it makes of 10,000 events a second.
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from stream_adapter.config import Config, parse
from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, WEIGHTS
from stream_adapter.encode.loading import load_models
from stream_adapter.events import (
    EMBEDDING,
    ClassScore,
    ImageEvent,
    Neighbour,
    Prediction,
    Versions,
    image_event_headers,
)
from stream_adapter.page.desk import Desk
from stream_adapter.page.sampling import Sampler
from stream_adapter.service.build import open_worker
from stream_adapter.service.logs import configure_logs
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.recorded import to_line

CLASSES = ("red circle", "blue star", "green triangle", "yellow diamond", "pink heart", "brown hexagon")
VARIANTS = ("off", "on", "looked at")
_CLIENT = """
import json, sys, time, urllib.request
url, after, picture = sys.argv[1], 0, 0
while True:
    started = time.monotonic()
    try:
        with urllib.request.urlopen(f"{url}?span=15m&after={after}&picture={picture}&limit=24", timeout=5) as answer:
            live = json.load(answer)
        after = (live["history"]["time_ms"] or [0])[-1]
        picture = max([picture, *(one["number"] for one in live["pictures"])])
    except OSError:
        pass
    time.sleep(max(0.0, 1.0 - (time.monotonic() - started)))
"""


def configuration(folder: Path, batch: int, mode: str) -> Config:
    """A worker on files."""
    return parse(f"""
transport: files
encoder: {{model: {MODEL_NAME}, model_config_file: {CONFIG}, pretrained: {WEIGHTS}}}
vocabulary: {{classes: {list(CLASSES)}, templates: simple}}
batch: {{max_batch: {batch}, max_wait_ms: 1000}}
files: {{input: {folder}/stream.jsonl, format: recorded, output: {folder}/results}}
service: {{port: 0}}
page: {{mode: "{mode}"}}
""")


def write_events(folder: Path, number: int, config: Config) -> None:
    """A recorded topic of vectors near to the classes' own; one in thirty is labelled."""
    encoder, vocabulary = load_models(config.encoder, config.vocabulary)
    rng = np.random.default_rng(0)
    with (folder / "stream.jsonl").open("wb") as file:
        for position in range(number):
            index = position % len(CLASSES)
            vector = vocabulary.text_vectors[index] + rng.normal(size=vocabulary.d) / vocabulary.d**0.5
            headers = image_event_headers(
                source="/benchmark",
                id=str(position),
                content_type=EMBEDDING,
                label=CLASSES[index] if position % 30 == 0 else None,
            )
            headers = (*headers, ("ce_fingerprint", encoder.fingerprint.encode()))
            value = (vector / np.linalg.norm(vector)).astype("<f4").tobytes()
            file.write(to_line(Record(Partition("images", 0), position, 0, None, value, headers)))


@contextlib.contextmanager
def clients(number: int, url: str) -> Iterator[None]:
    """Processes that look at the page until the block ends."""
    started = [subprocess.Popen([sys.executable, "-I", "-S", "-c", _CLIENT, url]) for _ in range(number)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def run(folder: Path, number: int, batch: int, variant: str, lookers: int) -> dict[str, float]:
    """One run: events a second, and microseconds of CPU an event in the adapter's thread and in all of the process."""
    shutil.rmtree(folder / "results", ignore_errors=True)
    config = configuration(folder, batch, "off" if variant == "off" else "auto")
    with open_worker(config) as worker:
        worker.restore()
        processor: Any = worker._processor
        finish, owner_s = processor.finish, [0.0]

        def timed(*arguments: Any) -> Any:
            started = time.thread_time()
            outcome = finish(*arguments)
            owner_s[0] += time.thread_time() - started
            return outcome

        processor.finish = timed
        supervise: Any = worker._supervise
        url = f"http://127.0.0.1:{supervise.args[0].port}/api/live"
        with clients(lookers if variant == "looked at" else 0, url):
            time.sleep(1.0)
            wall, cpu = time.perf_counter(), time.process_time()
            worker.run()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"events/s": number / wall, "owner µs": 1e6 * owner_s[0] / number, "process µs": 1e6 * cpu / number}


def hand_over(batch: int, repeats: int = 20_000) -> dict[str, float]:
    """Microseconds a batch of what the page does in the adapter's thread, at 10,000 events a second."""
    event = ImageEvent("/b", "1", 0, EMBEDDING, b"", None, None, Record(Partition("images", 0), 0, 0, None, b""))
    score = tuple(ClassScore(name, 0.2, 0.2, "labelled", 1.0) for name in CLASSES[:5])
    near = tuple(Neighbour("0" * 32, CLASSES[0], 0.9) for _ in range(16))
    versions = Versions("", "", "")
    one = Prediction("/b", "1", 0, score, CLASSES[1], None, 0.5, near, True, 0.1, versions, {})
    events, vectors, predictions = [event] * batch, [np.zeros(128, np.float32)] * batch, [one] * batch
    found = {}
    now = [0.0]
    looked: dict[str, Callable[[], bool]] = {"nobody looks": lambda: False, "somebody looks": lambda: True}
    for name, watched in looked.items():
        sampler, desk = Sampler(4.0, watched, lambda: now[0]), Desk(time.monotonic)
        started = time.perf_counter()
        for _ in range(repeats):
            now[0] += batch / 10_000
            sampler.saw(events, vectors, predictions)
            desk.turn()
        found[name] = 1e6 * (time.perf_counter() - started) / repeats
    return found


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=1)
    arguments = parser.parse_args()
    configure_logs("warning", "human")
    found: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_events(folder, arguments.events, configuration(folder, arguments.batch, "off"))
        run(folder, arguments.events, arguments.batch, "off", 0)  # whatever is slow the first time
        for number in range(arguments.rounds):
            order = VARIANTS if number % 2 == 0 else VARIANTS[::-1]
            for variant in order:
                found[variant].append(run(folder, arguments.events, arguments.batch, variant, arguments.clients))

    table = Table(
        title=f"Medians of {arguments.rounds} rounds of {arguments.events:,} vectors, batch {arguments.batch}"
    )
    for column in ("page", "events/s", "to off", "owner µs/event", "to off", "process µs/event", "to off"):
        table.add_column(column, justify="left" if column == "page" else "right")
    for variant, runs in found.items():
        row = [variant]
        for figure in ("events/s", "owner µs", "process µs"):
            ratios = [one[figure] / off[figure] for one, off in zip(runs, found["off"], strict=True)]
            row.append(f"{median(one[figure] for one in runs):,.1f}")
            row.append("" if variant == "off" else f"{median(ratios):.3f} ({min(ratios):.3f} – {max(ratios):.3f})")
        table.add_row(*row)
    console = Console(width=150)
    console.print(table)
    costs = Table(title=f"The hand-over alone, batches of {arguments.batch} at 10,000 events/s")
    for column in ("", "µs a batch", "of the adapter's thread"):
        costs.add_column(column)
    for name, microseconds in hand_over(arguments.batch).items():
        costs.add_row(name, f"{microseconds:.2f}", f"{microseconds * 1e-6 * 10_000 / arguments.batch:.4%}")
    console.print(costs)


if __name__ == "__main__":
    main()
