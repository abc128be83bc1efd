"""What `POST /predict` waits for beside a stream at half load: vectors, so that there is no encoder in it.

    python benchmarks/predict.py FEATURES.npz [--rate 50] [--seconds 20]

A worker's processor learns the features over and over in batches of 64, paced to half of what it manages, while as many
requests a second as --rate come over HTTP from another process, whatever became of those before. Says what the stream
manages alone, too, and the floor: how long `/startupz` of the same process, which waits for nobody, takes when it is
asked as often in the same seconds.
"""

import argparse
import contextlib
import json
import multiprocessing
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from stream_adapter.cores import share_cores

share_cores()  # as `stream-adapter run` and `serve` do, before NumPy is loaded
# ruff: noqa: E402
import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import AdapterConfig, PageConfig, PredictConfig
from stream_adapter.encode.vectors_only import VectorsOnly
from stream_adapter.evaluate.features import read_features
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.metrics import Metrics
from stream_adapter.page.access import Access
from stream_adapter.service.health import Health
from stream_adapter.service.heap import frozen
from stream_adapter.service.web.answering import Answering
from stream_adapter.service.web.predict import PredictApi
from stream_adapter.service.web.server import HttpServer, build_app
from stream_adapter.service.wiring import JourneyConfig, make_processor
from stream_adapter.transport.base import Partition, Record

BATCH = 64

Times = NDArray[np.float64]


def ask_both(url: str, bodies: list[bytes], floor: str, rate: float, seconds: float) -> tuple[Times, Times]:
    """Seconds from when a request was due until its answer, each at the rate: vectors to `url`, `floor` in between."""
    began, numbers = time.monotonic() + 0.5, range(int(rate * seconds))

    def ask(number: int, shift: float, address: str, body: bytes | None) -> float:
        at = began + (number + shift) / rate
        time.sleep(max(0.0, at - time.monotonic()))
        request = urllib.request.Request(address, body, {"Content-Type": EMBEDDING})
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
        return float(time.monotonic() - at)  # what waits behind another counts

    with ThreadPoolExecutor(16) as pool, ThreadPoolExecutor(16) as idle:
        nothing = idle.map(lambda number: ask(number, 0.5, floor, None), numbers)
        answers = list(pool.map(lambda number: ask(number, 0.0, url, bodies[number % len(bodies)]), numbers))
        return np.array(answers), np.array(list(nothing))


def main() -> None:
    """Run it, and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    features = read_features(arguments.features)
    names, metrics = features.vocabulary.class_names, Metrics()
    encoder, decoders = VectorsOnly(features.vocabulary.d), ThreadPoolExecutor(2)
    processor = make_processor(
        encoder,
        features.vocabulary,
        JourneyConfig(adapter=AdapterConfig()),
        context=LearnerContext(clock=time.monotonic, background=ThreadPoolExecutor(2), publishes=True),
        writer="w",
        source="/w",
        decoders=decoders,
        metrics=metrics,
        clock=time.monotonic,
    )
    payloads = [vector.astype("<f4").tobytes() for vector in features.vectors]
    random, offset = np.random.default_rng(0), 0

    def batch() -> None:
        nonlocal offset
        records = []
        for row in random.integers(len(payloads), size=BATCH).tolist():
            label = names[features.labels[row]] if features.labels[row] >= 0 and random.random() < 0.3 else None
            headers = image_event_headers(source="/s", id=str(offset), content_type=EMBEDDING, label=label)
            headers = (*headers, ("ce_fingerprint", encoder.fingerprint.encode()))
            records.append(Record(Partition("images", 0), offset, 0, None, payloads[row], headers))
            offset += 1
        processor.finish(processor.encode(processor.prepare(records)))

    began = time.monotonic()
    while time.monotonic() - began < arguments.seconds / 2:
        batch()
    alone = offset / (time.monotonic() - began)

    predict = PredictConfig()
    answering = Answering(predict, metrics)
    api = PredictApi(answering, Access.of_predictions(predict, PageConfig(), "127.0.0.1"), metrics, 10_000)
    server = HttpServer(build_app(metrics, Health(60.0, time.monotonic), api.routes()), "127.0.0.1", 0)
    server.start()
    answering.open(encoder, processor, decoders)
    stopping, before = threading.Event(), offset

    def stream() -> None:
        due = time.monotonic()
        while not stopping.is_set():
            batch()
            due += BATCH / (alone / 2)
            time.sleep(max(0.0, due - time.monotonic()))

    address = f"http://127.0.0.1:{server.port}"
    url = f"{address}/predict?fingerprint={encoder.fingerprint}"
    thread = threading.Thread(target=stream)
    with frozen(), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as asking:  # as a worker is
        asking.submit(int).result()
        began = time.monotonic()
        thread.start()
        asked = asking.submit(ask_both, url, payloads[:1_000], f"{address}/startupz", arguments.rate, arguments.seconds)
        seconds, floor = asked.result()
    stopping.set()
    thread.join()
    answering.stop()
    server.stop()
    (median, p99), (floor_median, floor_p99) = (np.quantile(of, [0.5, 0.99]) * 1e3 for of in (seconds, floor))
    beside = (offset - before) / (time.monotonic() - began)
    report = {"stream_alone_per_s": round(alone), "stream_beside_per_s": round(beside), "requests": len(seconds)}
    report |= {"median_ms": round(median, 1), "p99_ms": round(p99, 1)}
    print(json.dumps(report | {"floor_median_ms": round(floor_median, 1), "floor_p99_ms": round(floor_p99, 1)}))


if __name__ == "__main__":
    main()
