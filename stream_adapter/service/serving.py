"""A replica that only answers: it follows the anchors topic as a worker does that still waits for its partitions."""

import contextlib
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from prometheus_client import ProcessCollector

from stream_adapter.config import Config
from stream_adapter.encode.base import Encoder
from stream_adapter.encode.decoders import Decoders
from stream_adapter.encode.loading import ClassTexts
from stream_adapter.errors import ConfigError, StreamAdapterError, Unreachable
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.references import References
from stream_adapter.service.build import open_classes, open_models, open_predictions, open_processor
from stream_adapter.service.health import Health
from stream_adapter.service.heap import frozen
from stream_adapter.service.logs import configure_logs
from stream_adapter.service.outage import Outage
from stream_adapter.service.restoring import get_ready, read_anchors, read_classes
from stream_adapter.service.web.server import HttpServer, build_app
from stream_adapter.transport.changelog import Changelog
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import Log

log = structlog.get_logger(__name__)

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Follower:
    """A model that follows what workers learn. It reads no images, publishes nothing and damps nothing."""

    encoder: Encoder
    processor: Processor
    decoders: Decoders
    references: References
    changelog: Changelog
    classes: Log
    metrics: Metrics
    health: Health
    outage: Outage

    def restore(self) -> None:
        """Read the anchors back, and what workers say of their traffic, until all of it is in force."""
        self.outage.wait_out(lambda: read_classes(self.classes, self.processor, self.health))
        self.outage.wait_out(lambda: read_anchors(self.changelog, self.processor, self.health, self.metrics))
        get_ready(self.processor, self.health)

    def follow(self) -> None:
        """Take in what was written since; without an answer say so, and go on with what is known."""
        try:
            with self.health.asking():
                said, changes = self.classes.new(), self.changelog.poll()
            self.outage.report(None)
        except Unreachable as error:
            self.outage.report(str(error))
            return
        if said:
            self.processor.apply_classes(said)
        if changes:
            self.processor.apply(changes, positions=self.changelog.positions)
        self.processor.apply(())


@contextlib.contextmanager
def open_follower(config: Config, metrics: Metrics, health: Health) -> Iterator[Follower]:
    """Load the models and open the changelog; released when the block ends."""
    encoder, vocabulary = open_models(config)
    writer = uuid.uuid4().hex
    outage = Outage(health, metrics, time.monotonic)
    with contextlib.ExitStack() as stack:
        texts = ClassTexts(config.encoder, config.vocabulary)
        # As a worker's: what the traffic shows comes by the changelog, and none of it is this process's own.
        processor, decoders, references = open_processor(
            encoder, vocabulary, config, metrics, stack, slot=writer, writer=writer, encode=texts
        )
        transport = transport_of(config)
        changelog = outage.wait_out(lambda: transport.open_changelog(writer))
        stack.callback(changelog.close)
        classes = open_classes(transport, outage, stack)
        yield Follower(encoder, processor, decoders, references, changelog, classes, metrics, health, outage)


def serve(config: Config) -> None:
    """Answer over HTTP until SIGTERM or SIGINT."""
    configure_logs(config.service.log_level, config.service.log_format)
    metrics, stopping = Metrics(), threading.Event()
    health = Health(config.service.stuck_after_s, time.monotonic)
    metrics.watch_progress(lambda: health.seconds_without_progress)
    ProcessCollector(registry=metrics.registry)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with contextlib.ExitStack() as stack:
        # There is no stream beside it that would have to be spared.
        answering, routes = open_predictions(config, metrics, stack, share=1.0)
        if answering is None:
            doors = "`predict.token` or `label_studio.token`"
            raise ConfigError([f"predict: nobody may ask on this address; set {doors}, or listen on 127.0.0.1"])
        http = HttpServer(build_app(metrics, health, routes), config.service.host, config.service.port)
        http.start()
        stack.callback(http.stop)
        log.info("http", host=config.service.host, port=http.port)
        follower = stack.enter_context(open_follower(config, metrics, health))
        follower.restore()
        answering.open(follower.encoder, follower.processor, follower.decoders, follower.references)
        for condition in ("restored", "model_warm", "partitions_assigned"):  # it needs none
            health.set(condition, True)
        log.info("serving", anchors=follower.processor.adapter.n_anchors)
        stack.enter_context(frozen())
        while not stopping.wait(_POLL_S):
            follower.follow()
            health.progress()
            metrics.ready.set(not health.missing)
            if not http.alive:
                raise StreamAdapterError("the HTTP thread has ended, see the log above; the replica stops with it")
    log.info("stopped")
