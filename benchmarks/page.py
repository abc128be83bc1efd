"""What the live page costs the worker: events a second without it, with it, and with somebody looking.

    python benchmarks/page.py [--events 20000] [--batch 64] [--rounds 5] [--clients 1]

Events are vectors, so that there is no model to hide behind: nothing costs the worker less a batch, and nothing shows
the page's share more. Runs are in turn, in this process, on the same recorded file. Whoever looks is a process of its
own that asks once a second for what is new. Other people's load moves whole runs by tens of per cent, so two figures
that it disturbs less stand beside them: a run in which half of the batches, drawn by lot, have the page looking on,
compared by the CPU time of the thread that owns the adapter; and the CPU time of the page's own two threads (HTTP and
page), which is the most that they can take from the others by way of the interpreter's lock.

The last table is the cost of the hand-over alone, and what it makes of 10,000 events a second.
"""

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from stream_adapter.config import Config, parse
from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, WEIGHTS
from stream_adapter.encode.loading import load_models
from stream_adapter.events import EMBEDDING, ImageEvent, PredictionDocument, image_event_headers
from stream_adapter.journey.observing import NullObserver
from stream_adapter.page.requests import RequestQueue
from stream_adapter.page.sampling import Sampler
from stream_adapter.service.build import open_worker
from stream_adapter.service.logs import configure_logs
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.recorded import to_line

CLASSES = ("red circle", "blue star", "green triangle", "yellow diamond", "pink heart", "brown hexagon")
VARIANTS = ("off", "on", "looked at", "alternating")
_CLIENT = """
import json, sys, time, urllib.request
url, after, picture = sys.argv[1], 0, 0
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
while True:
    started = time.monotonic()
    try:
        with direct.open(f"{url}?span=15m&after={after}&picture={picture}&limit=24", timeout=5) as answer:
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
    """One run over the whole file.

    Returns:
        Events a second; CPU microseconds an event of the adapter's thread; CPU milliseconds a second of the page's two
        threads; in variant "alternating" the same thread's median microseconds a batch with the page and without.
    """
    shutil.rmtree(folder / "results", ignore_errors=True)
    config = configuration(folder, batch, "off" if variant == "off" else "auto")
    with open_worker(config) as worker:
        worker.restore()
        processor: Any = worker._processor
        finish, page, nobody = processor.finish, processor._observer, NullObserver()
        batch_s: dict[bool, list[float]] = {True: [], False: []}
        lots = np.random.default_rng()

        def timed(*arguments: Any) -> Any:
            # By lot: the drift monitor has a batch in four to test, so that odd and even ones differ by themselves.
            without = variant == "alternating" and lots.random() < 0.5
            processor._observer = nobody if without else page
            started = time.thread_time()
            outcome = finish(*arguments)
            batch_s[not without].append(time.thread_time() - started)
            return outcome

        processor.finish = timed
        server: Any = worker._supervise
        http = server.args[0]
        threads = [http._thread] if variant == "off" else [http._thread, page._thread]
        with clients(
            lookers if variant in ("looked at", "alternating") else 0, f"http://127.0.0.1:{http.port}/api/live"
        ):
            time.sleep(1.0)
            wall, beside = time.perf_counter(), cpu_of(threads)
            worker.run()
            wall, beside = time.perf_counter() - wall, cpu_of(threads) - beside
    figures = {
        "events/s": number / wall,
        "owner µs": 1e6 * (sum(batch_s[True]) + sum(batch_s[False])) / number,
        "beside ms": 1e3 * beside / wall,
    }
    if variant == "alternating":
        figures |= {"with µs": 1e6 * median(batch_s[True]), "without µs": 1e6 * median(batch_s[False])}
    return figures


def cpu_of(threads: Sequence[threading.Thread]) -> float:
    """CPU seconds that these threads have used so far."""
    return sum(time.clock_gettime(time.pthread_getcpuclockid(thread.ident)) for thread in threads if thread.ident)


def hand_over(batch: int, repeats: int = 20_000) -> dict[str, float]:
    """Microseconds a batch of what the page does in the adapter's thread, at 10,000 events a second."""
    event = ImageEvent("/b", "1", 0, EMBEDDING, b"", None, None, Record(Partition("images", 0), 0, 0, None, b""))
    top = [{"label": name, "adapted": 0.2, "zero_shot": 0.2} for name in CLASSES[:5]]
    one: PredictionDocument = {"top": top, "zero_shot_label": CLASSES[1], "label": None}
    events, vectors, predictions = [event] * batch, [np.zeros(128, np.float32)] * batch, [one] * batch
    found = {}
    now = [0.0]
    looked: dict[str, Callable[[], bool]] = {"nobody looks": lambda: False, "somebody looks": lambda: True}
    for name, watched in looked.items():
        sampler, requests = Sampler(4.0, watched, lambda: now[0]), RequestQueue(time.monotonic)
        started = time.perf_counter()
        for _ in range(repeats):
            now[0] += batch / 10_000
            sampler.on_batch(events, vectors, predictions)
            requests.serve()
        found[name] = 1e6 * (time.perf_counter() - started) / repeats
    return found


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=15_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=1)
    arguments = parser.parse_args()
    number, batch, rounds, lookers = arguments.events, arguments.batch, arguments.rounds, arguments.clients
    configure_logs("warning", "human")
    found: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_events(folder, number, configuration(folder, batch, "off"))
        run(folder, number, batch, "off", 0)  # whatever is slow the first time
        for round_number in range(rounds):
            for variant in VARIANTS if round_number % 2 == 0 else VARIANTS[::-1]:
                found[variant].append(run(folder, number, batch, variant, lookers))

    table = Table(title=f"Medians of {rounds} rounds, {number:,} vectors, batches of {batch}, {lookers} looking")
    for column in ("page", "events/s", "to off", "owner's CPU µs/event", "to off", "CPU ms/s of the page's threads"):
        table.add_column(column, justify="left" if column == "page" else "right")
    for variant, runs in found.items():
        row = [variant]
        for figure in ("events/s", "owner µs"):
            ratios = [one[figure] / off[figure] for one, off in zip(runs, found["off"], strict=True)]
            row.append(f"{median(one[figure] for one in runs):,.1f}")
            row.append("" if variant == "off" else f"{median(ratios):.3f} ({min(ratios):.3f} – {max(ratios):.3f})")
        table.add_row(*row, f"{median(one['beside ms'] for one in runs):.2f}")
    console = Console(width=150)
    console.print(table)
    pairs = found["alternating"]
    ratios = [one["with µs"] / one["without µs"] for one in pairs]
    console.print(
        f"Batches with the page, drawn by lot in one run, owner's CPU, median: {median(ratios):.4f} of those without "
        f"({min(ratios):.4f} – {max(ratios):.4f}), at {median(one['without µs'] for one in pairs):,.0f} µs a batch."
    )
    costs = Table(title=f"The hand-over alone, batches of {batch} at 10,000 events/s")
    for column in ("", "µs a batch", "of the adapter's thread"):
        costs.add_column(column)
    for name, microseconds in hand_over(batch).items():
        costs.add_row(name, f"{microseconds:.2f}", f"{microseconds * 1e-6 * 10_000 / batch:.4%}")
    console.print(costs)


if __name__ == "__main__":
    main()
