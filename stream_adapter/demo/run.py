"""The demo: a broker, a worker, a stream of pictures, and the accuracy of both models against the truth."""

import contextlib
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
from stream_adapter.demo.display import Display
from stream_adapter.demo.feeds import Feed, FilesFeed, KafkaFeed, Picture
from stream_adapter.demo.loopback import open_loopback
from stream_adapter.demo.pictures import demo_stream
from stream_adapter.demo.plot import save_plot
from stream_adapter.demo.scenes import DEMO_CLASSES
from stream_adapter.demo.scoreboard import Scoreboard, Sent
from stream_adapter.demo.worker_process import WorkerProcess
from stream_adapter.errors import StreamAdapterError, TransportError

Transport = Literal["kafka", "files"]

_HERE = Path(__file__).parent
_FIRST_PORT = 8080
_SILENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """What a demo run is made of.

    Attributes:
        output: folder for `summary.json` and `accuracy.png`.
        label_share: share of the pictures that carry a label, 0..1.
        transport: "kafka" or "files"; None takes Kafka where there is one or one can be started.
    """

    output: Path
    events: int = 4_000
    rate: float = 80.0
    label_share: float = 0.3
    transport: Transport | None = None
    seed: int = 0
    browser: bool = True


def config_path() -> Path:
    """`configs/demo.yaml`; a link beside this module puts it into the installed package."""
    return _HERE / "demo.yaml"


def run_demo(settings: DemoSettings, display: Display) -> None:
    """Run the demo from start to summary; leaves nothing running, however it ends.

    Raises:
        StreamAdapterError: the broker or the worker could not do its job; the message holds the log's end.
    """
    settings.output.mkdir(parents=True, exist_ok=True)
    board = Scoreboard()
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stream-adapter-demo-")))
        (scratch / "classes.txt").write_text("\n".join(DEMO_CLASSES) + "\n")
        transport, servers = _transport(settings.transport, display, stack)
        environment = {
            "DEMO_TRANSPORT": transport,
            "DEMO_FOLDER": str(scratch),
            "DEMO_PREFIX": f"demo-{uuid.uuid4().hex[:8]}",
            "DEMO_PORT": str(_free_port()),
            "DEMO_TOKEN": secrets.token_urlsafe(12),
            "KAFKA_BOOTSTRAP_SERVERS": servers,
        }
        config = _load_config(environment)
        worker = WorkerProcess(config_path(), environment, scratch)
        stack.callback(worker.stop)
        stream = _pictures(settings, frozenset(config.adapter.canaries), board)
        started = time.monotonic()
        feed = _open_feed(transport, config, stack)
        if transport == "kafka":
            worker.start()
            with display.waiting("Starting the worker"):
                _wait_until_ready(config.service.port, worker)
        page = f"http://127.0.0.1:{config.service.port}/"
        display.started(transport, page, environment["DEMO_TOKEN"])
        if settings.browser and browser.somebody_is_there():
            browser.open_when_served(page)
        with display.live(settings.events, board):
            if transport == "files":
                _write_all(stream, feed)
                worker.start()
            _play(stream, feed, worker, board, settings, display)
        seconds = time.monotonic() - started
        worker.stop()
        dead_letters = settings.events - board.scored
    summary = {
        "transport": transport,
        "events": settings.events,
        "dead_letters": dead_letters,
        "seconds": round(seconds, 1),
        "worker_restarts": worker.restarts,
        "groups": board.summary(),
    }
    (settings.output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    saved = [settings.output / "summary.json", settings.output / "accuracy.png"]
    try:
        save_plot(board, shift_at=settings.events // 2, path=saved[1])
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


def _load_config(environment: dict[str, str]) -> configuration.Config:
    """The worker's own configuration, so that topics and canaries are named in one place only."""
    before = os.environ.copy()
    os.environ.update(environment)
    try:
        return configuration.load(config_path())
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


def _pictures(settings: DemoSettings, canaries: frozenset[str], board: Scoreboard) -> Iterator[Picture]:
    """The stream: drawn as it is sent, the truth noted on the board, a share of it labelled."""
    rng = np.random.default_rng(settings.seed)
    pictures = demo_stream(settings.events, shift_at=settings.events // 2, rng=rng)
    for position, drawn in enumerate(pictures):
        truth = drawn.scene.class_name
        picture = Picture(
            event_id=f"{position:06d}",
            data=drawn.jpeg,
            label=truth if rng.random() < settings.label_share else None,
        )
        board.sent(picture.event_id, Sent(position, truth, "canary" if truth in canaries else "labelled"))
        yield picture


def _write_all(stream: Iterator[Picture], feed: Feed) -> None:
    for picture in stream:
        feed.send(picture)
    feed.sent_all()


def _play(
    stream: Iterator[Picture],
    feed: Feed,
    worker: WorkerProcess,
    board: Scoreboard,
    settings: DemoSettings,
    display: Display,
) -> None:
    """Send at the wanted rate and score what comes back, until every picture has its prediction."""
    started = heard_at = time.monotonic()
    sent = 0
    everything_sent = False
    while board.scored < settings.events:
        now = time.monotonic()
        while not everything_sent and sent < (now - started) * settings.rate:
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
            if board.scored < settings.events:
                raise StreamAdapterError(
                    f"{settings.events - board.scored} of {settings.events} pictures have no prediction; the worker's "
                    f"log ends:\n{worker.log_tail()}"
                )


def _free_port() -> int:
    """The first port from 8080 on that nobody listens on."""
    for port in range(_FIRST_PORT, _FIRST_PORT + 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    return 0
