"""The demo: a broker, a worker, a stream of pictures, and the accuracy of both models against the truth."""

import contextlib
import importlib.util
import json
import os
import secrets
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stream_adapter import config as configuration
from stream_adapter.demo import browser
from stream_adapter.demo.broker import LocalKafka
from stream_adapter.demo.browser import open_loopback
from stream_adapter.demo.display import Display
from stream_adapter.demo.feeds import Feed, FilesFeed, KafkaFeed, Picture
from stream_adapter.demo.groceries import AFTER, OPENING, WRONG, groceries, opening_part
from stream_adapter.demo.scenes import DEMO_CLASSES
from stream_adapter.demo.scoreboard import Scoreboard, Sent, save_plot
from stream_adapter.demo.worker_process import WorkerProcess
from stream_adapter.errors import NotInstalled, StreamAdapterError, TransportError

Transport = Literal["kafka", "files"]
Pictures = Literal["groceries", "drawn"]

_HERE = Path(__file__).parent
_FIRST_PORT = 8080
_SILENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What a demo run is made of.

    `stream-adapter demo --help` says what each is; of None each kind of pictures has its own default.
    """

    output: Path
    pictures: Pictures = "groceries"
    events: int | None = None
    rate: float | None = None
    label_share: float = 0.3
    transport: Transport | None = None
    seed: int = 0
    browser: bool = True


def config_path(pictures: Pictures = "groceries") -> Path:
    """One of `configs/`; links beside this module put them into the installed package."""
    return _HERE / ("groceries.yaml" if pictures == "groceries" else "demo.yaml")


def run_demo(settings: DemoSettings, display: Display) -> None:
    """Run the demo from start to summary; leaves nothing running, however it ends.

    Raises:
        NotInstalled: the worker would miss its HTTP side.
    """
    if importlib.util.find_spec("starlette") is None:
        raise NotInstalled("the demo is not installed; it comes with `pip install 'stream-adapter[demo]'`")
    settings.output.mkdir(parents=True, exist_ok=True)
    photographs = settings.pictures == "groceries"
    events = settings.events or (len(groceries().jpegs) if photographs else 4_000)
    rate = settings.rate or (6.0 if photographs else 80.0)
    classes = groceries().class_names if photographs else DEMO_CLASSES
    board = Scoreboard()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stream-adapter-demo-")))
        (scratch / "classes.txt").write_text("\n".join(classes) + "\n")
        transport, servers = _transport(settings.transport, display, stack)
        environment = {
            "DEMO_TRANSPORT": transport,
            "DEMO_FOLDER": str(scratch),
            "DEMO_PREFIX": f"demo-{uuid.uuid4().hex[:8]}",
            "DEMO_PORT": os.environ.get("DEMO_PORT") or str(_free_port()),
            "DEMO_TOKEN": secrets.token_urlsafe(12),
            "KAFKA_BOOTSTRAP_SERVERS": servers,
        }
        path = config_path(settings.pictures)
        config = _load_config(path, environment)
        worker = WorkerProcess(path, environment, scratch)
        stack.callback(worker.stop)
        drawn = _photographs(events, settings) if photographs else _drawings(events, settings)
        stream = _noted(drawn, frozenset(config.adapter.canaries), board)
        started = time.monotonic()
        feed = _open_feed(transport, config, stack)
        if transport == "kafka":
            worker.start()
            with display.waiting("Starting the worker"):
                _wait_until_ready(config.service.port, worker)
        page = f"http://127.0.0.1:{config.service.port}/"
        display.started(transport, page, environment["DEMO_TOKEN"], settings.pictures)
        if settings.browser and browser.somebody_is_there():
            browser.open_when_served(page)
        with display.live(events, board):
            if transport == "files":
                for picture in stream:
                    feed.send(picture)
                feed.sent_all()
                worker.start()
            _play(stream, feed, worker, board, events, rate, display, OPENING + WRONG if photographs else None)
        seconds = time.monotonic() - started
        worker.stop()
        dead_letters = events - board.scored
    summary = {
        "transport": transport,
        "events": events,
        "dead_letters": dead_letters,
        "seconds": round(seconds, 1),
        "worker_restarts": worker.restarts,
        "groups": board.summary(),
    }
    (settings.output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    saved = [settings.output / "summary.json", settings.output / "accuracy.png"]
    try:
        save_plot(board, shift_at=None if photographs else events // 2, path=saved[1])
    except ModuleNotFoundError as error:  # the container image is without
        display.say(f"No plot: {error.name} is not installed; it comes with `pip install stream-adapter[demo]`.")
        del saved[1]
    display.finished(summary, saved)


def _transport(wanted: Transport | None, display: Display, stack: contextlib.ExitStack) -> tuple[Transport, str]:
    """Choose the transport, and start a broker where Kafka is wanted and none is given."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if wanted == "files":
        return "files", ""
    if given:
        display.say(f"Using the Kafka at {given}.")
        return "kafka", given
    try:
        with display.waiting("Starting a local Kafka (the first time Maven fetches it, half a minute)"):
            broker = stack.enter_context(LocalKafka())
    except TransportError as error:
        if wanted == "kafka":
            raise
        display.say(f"No Kafka here, so files take its place. {error}")
        return "files", ""
    display.say(f"A local Kafka runs at {broker.bootstrap_servers}.")
    return "kafka", broker.bootstrap_servers


def _load_config(path: Path, environment: dict[str, str]) -> configuration.Config:
    """The worker's own configuration, so that topics and canaries are named in one place only."""
    before = os.environ.copy()
    os.environ.update(environment)
    try:
        return configuration.load(path)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _open_feed(transport: Transport, config: configuration.Config, stack: contextlib.ExitStack) -> Feed:
    feed: Feed
    if transport == "kafka":
        from stream_adapter.transport.kafka import ensure_topics

        ensure_topics(config.kafka)
        topics = config.kafka.topics
        feed = KafkaFeed(config.kafka.bootstrap_servers, topics.images, topics.predictions)
    else:
        assert config.files is not None
        feed = FilesFeed(config.files.input, config.files.output / "predictions.jsonl")
    stack.callback(feed.close)
    return feed


def _wait_until_ready(port: int, worker: WorkerProcess) -> None:
    """Ask `/readyz` until the worker can do its job."""
    deadline = time.monotonic() + _SILENCE_S
    while time.monotonic() < deadline and worker.ended() is None:
        with contextlib.suppress(OSError), open_loopback(f"http://127.0.0.1:{port}/readyz"):
            return
        time.sleep(0.1)
    raise StreamAdapterError(f"the worker did not get ready; its log ends:\n{worker.log_tail()}")


Shown = tuple[bytes, str, str | None, str]
"""A picture's bytes, the truth about it, the label that it is sent with, and its part of the opening."""


def _photographs(events: int, settings: DemoSettings) -> Iterator[Shown]:
    """The shop's pictures in their order, over and over; the opening is as it was arranged, whatever the seed."""
    rng, shop = np.random.default_rng(settings.seed), groceries()
    for place in range(events):
        row = place % len(shop.jpegs)
        truth, part = shop.labels[row], opening_part(place)
        label = truth if rng.random() < settings.label_share else None
        if place < OPENING + WRONG + AFTER:
            label = truth if place == OPENING + WRONG - 1 else None
        yield shop.jpegs[row], truth, label, part


def _drawings(events: int, settings: DemoSettings) -> Iterator[Shown]:
    """Drawn as they are sent, a share of them labelled."""
    from stream_adapter.demo.pictures import demo_stream  # Pillow: where nothing is drawn it need not be there

    rng = np.random.default_rng(settings.seed)
    for drawn in demo_stream(events, shift_at=events // 2, rng=rng):
        truth = drawn.scene.class_name
        yield drawn.jpeg, truth, truth if rng.random() < settings.label_share else None, ""


def _noted(stream: Iterator[Shown], canaries: frozenset[str], board: Scoreboard) -> Iterator[Picture]:
    """The stream as it is sent, the truth noted on the board."""
    for position, (data, truth, label, part) in enumerate(stream):
        picture = Picture(f"{position:06d}", data, label)
        board.sent(picture.event_id, Sent(position, truth, "canary" if truth in canaries else "labelled", part))
        yield picture


def _play(
    stream: Iterator[Picture],
    feed: Feed,
    worker: WorkerProcess,
    board: Scoreboard,
    events: int,
    rate: float,
    display: Display,
    hold_at: int | None,
) -> None:
    """Send at the wanted rate and score what comes back, until every picture has its prediction.

    After the first `hold_at` pictures no more are sent until these have their predictions: the label among them is in
    force from the next batch on, and on a busy machine the pictures that are to show it would be in the same.
    """
    started = heard_at = time.monotonic()
    sent = 0
    everything_sent = False
    while board.scored < events:
        now = time.monotonic()
        while not everything_sent and sent < (now - started) * rate:
            if sent == hold_at and board.scored < sent:
                break
            picture = next(stream, None)
            if picture is None:
                everything_sent = True
                feed.sent_all()
            else:
                feed.send(picture)
                sent += 1
        for prediction in feed.predictions():
            board.predicted(prediction)
            heard_at = time.monotonic()
        finished = worker.ended() == 0  # a worker on files ends by itself
        if not finished and worker.restart_if_dead():
            display.say("The worker was killed. It starts again where it had committed.")
        display.update()
        if finished or now - heard_at > _SILENCE_S:
            for prediction in feed.predictions():
                board.predicted(prediction)
            if board.scored < events:
                raise StreamAdapterError(
                    f"{events - board.scored} of {events} pictures have no prediction; the worker's "
                    f"log ends:\n{worker.log_tail()}"
                )


def _free_port() -> int:
    """The first port from 8080 on that nobody listens on."""
    for port in range(_FIRST_PORT, _FIRST_PORT + 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    return 0
