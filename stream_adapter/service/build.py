"""A whole worker from a configuration: models, transport, snapshots, HTTP and the journey of a batch."""

import contextlib
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog
from prometheus_client import ProcessCollector
from starlette.routing import BaseRoute

from stream_adapter import __version__
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import Config
from stream_adapter.drift.alarm import DriftAlarm
from stream_adapter.encode.base import Encoder
from stream_adapter.encode.decoders import Decoders
from stream_adapter.encode.loading import ClassTexts, load_models
from stream_adapter.encode.threads import with_threads
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.errors import StreamAdapterError, TransportError
from stream_adapter.journey.batching import Batcher
from stream_adapter.journey.classes import Encode
from stream_adapter.journey.observing import Observer
from stream_adapter.journey.processor import Processor
from stream_adapter.journey.vocabulary import ClassesNow
from stream_adapter.journey.watching import log_alarm
from stream_adapter.metrics import Metrics
from stream_adapter.page.access import Access
from stream_adapter.page.labelling import Labelling
from stream_adapter.page.page import Facts, Page
from stream_adapter.page.requests import View
from stream_adapter.page.routes import page_routes
from stream_adapter.references import References
from stream_adapter.service.health import Health
from stream_adapter.service.outage import Outage
from stream_adapter.service.saving import Snapshots
from stream_adapter.service.web.answering import Answering
from stream_adapter.service.web.label_studio import LabelStudio
from stream_adapter.service.web.predict import PredictApi
from stream_adapter.service.web.server import HttpServer, build_app
from stream_adapter.service.wiring import JourneyConfig, make_processor
from stream_adapter.service.worker import Worker
from stream_adapter.snapshots import SnapshotFolder
from stream_adapter.transport.base import Sink, Source
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import Log, Transport

log = structlog.get_logger(__name__)


@contextlib.contextmanager
def open_worker(config: Config) -> Iterator[Worker]:
    """Build a worker with everything it needs, and release it all afterwards.

    The HTTP side answers from the first moment, so that a slow start is seen as "not ready" and not as "not there".
    """
    clock = time.monotonic
    metrics = Metrics()
    health = Health(config.service.stuck_after_s, clock)
    metrics.watch_progress(lambda: health.seconds_without_progress)
    metrics.anchors_budget.set(config.adapter.anchors.budget)
    ProcessCollector(registry=metrics.registry)  # memory, files, and when it was started
    with contextlib.ExitStack() as stack:
        http: HttpServer | None = None
        page: Page | None = None
        answering: Answering | None = None
        if config.service.http:
            page = _open_page(config, metrics, health, stack)
            answering, routes = open_predictions(config, metrics, stack)
            routes += page_routes(page) if page is not None else []
            http = HttpServer(build_app(metrics, health, routes), config.service.host, config.service.port)
            http.start()
            stack.callback(http.stop)
            log.info("http", host=config.service.host, port=http.port, page=page is not None)
        encoder, vocabulary = open_models(config)

        texts = ClassTexts(config.encoder, config.vocabulary)
        if config.vocabulary.unknown_labels == "add":
            texts.load()  # loading takes seconds of this process, which no batch should wait for

        writer = uuid.uuid4().hex
        transport = transport_of(config)
        slot = transport.worker_name or writer  # under which it publishes what its traffic says
        outage = Outage(health, metrics, clock)
        labels = outage.wait_out(transport.open_labels) if config.labels.wait_max_events else None
        if labels is not None:
            stack.callback(labels.close)
        processor, decoders, references = open_processor(
            encoder,
            vocabulary,
            config,
            metrics,
            stack,
            slot=slot,
            writer=writer,
            encode=texts,
            notify=partial(_notify, page),
            observer=page,
            waiting_partitions=0 if labels is None else labels.partitions,
        )
        if page is not None:
            page.on_classes(processor.parts.classes.now)
            processor.parts.classes.followers.append(page.on_classes)
        changelog = outage.wait_out(lambda: transport.open_changelog(writer))
        stack.callback(changelog.close)
        classes = open_classes(transport, outage, stack)
        snapshots = None
        if config.snapshots.folder is not None:
            folder = stack.enter_context(SnapshotFolder(config.snapshots.folder, config.snapshots.keep))
            snapshots = Snapshots(
                folder,
                config.snapshots,
                parts=processor.parts,
                changelog=changelog,
                fingerprint=encoder.fingerprint,
                # Not the thread of the fits: a fit that is due must not wait until 100 MB are on the disk.
                executor=stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="snapshots")),
                metrics=metrics,
                clock=clock,
            )
            processor.saving = snapshots.poll
        if page is not None:
            facts = Facts(
                encoder=encoder.fingerprint,
                guard=config.drift.mode,
                tolerance=config.drift.tolerance,
                min_labels=config.drift.min_labels,
            )
            page.open(facts, partial(_view, page, processor))
            if labels is not None:
                page.labelling = Labelling(processor.questions, lambda outputs: transport_of(config).write(outputs))
        if answering is not None:
            answering.open(encoder, processor, decoders, references)
        source, sink = outage.wait_out(lambda: _connect(transport, stack))
        yield Worker(
            source=source,
            sink=sink,
            changelog=changelog,
            classes=classes,
            processor=processor,
            batcher=Batcher(config.batch.max_batch, config.batch.max_wait_ms / 1e3, clock),
            metrics=metrics,
            health=health,
            labels=labels,
            drain_s=config.service.drain_s,
            snapshots=snapshots,
            supervise=partial(_check_http, http),
            outage=outage,
            clock=clock,
        )


def open_models(config: Config) -> tuple[Encoder, Vocabulary]:
    """The encoder, with the threads that it is given, and the classes."""
    loaded, vocabulary = load_models(config.encoder, config.vocabulary)
    encoder = with_threads(loaded, config.encoder.threads, config.encoder.device)
    classes = len(vocabulary.class_names)
    model = config.encoder.model if config.encoder.type == "open_clip" else config.encoder.type
    log.info("model loaded", model=model, encoder=encoder.fingerprint, classes=classes)
    return encoder, vocabulary


def open_processor(
    encoder: Encoder,
    vocabulary: Vocabulary,
    config: Config,
    metrics: Metrics,
    stack: contextlib.ExitStack,
    *,
    slot: str,
    writer: str,
    encode: Encode,
    notify: Callable[[DriftAlarm], None] = log_alarm,
    observer: Observer | None = None,
    waiting_partitions: int = 0,
) -> tuple[Processor, Decoders, References]:
    """The journey in this process, what decodes its pictures and what fetches them, to be closed by `stack`.

    Arguments as for `make_processor`; `slot` is what this process is called in what it publishes.
    """
    # Two: what readiness waits for must not wait for a graph of all anchors.
    background = ThreadPoolExecutor(2, thread_name_prefix="background")
    stack.callback(background.shutdown, wait=False, cancel_futures=True)  # nobody waits for it any more
    decoders = stack.enter_context(Decoders(config.encoder.decode_threads, config.encoder.decode_s))
    references = References(config.references, max_bytes=config.encoder.max_bytes, metrics=metrics)
    stack.callback(references.close)
    processor = make_processor(
        encoder,
        vocabulary,
        JourneyConfig.of(config),
        context=LearnerContext(
            clock=time.monotonic,
            background=background,
            device=device_of(config.encoder.device),
            slot=slot,
            publishes=True,
            seed=config.adapter.seed,
        ),
        writer=writer,
        source=f"stream_adapter/{slot}",
        decoders=decoders,
        metrics=metrics,
        clock=time.monotonic,
        notify=notify,
        observer=observer,
        encode=encode,
        waiting_partitions=waiting_partitions,
        references=references,
        alone=config.transport == "files",
    )

    def show(now: ClassesNow) -> None:
        metrics.build.info({"version": __version__, "encoder": encoder.fingerprint, "vocabulary": now.hash})

    show(processor.parts.classes.now)
    processor.parts.classes.followers.append(show)
    return processor, decoders, references


def open_classes(transport: Transport, outage: Outage, stack: contextlib.ExitStack) -> Log:
    """What the classes are, to be closed by `stack`."""
    classes = outage.wait_out(lambda: transport.open_log("classes"))
    stack.callback(classes.close)
    partitions = len(outage.wait_out(classes.ends))
    if partitions != 1:
        raise TransportError(
            f"the topic of classes {classes.name!r} has {partitions} partitions, which have no common order: make it "
            "anew with one"
        )
    return classes


def _view(page: Page, processor: Processor, vectors: bool) -> View:
    asked = (one.anchor_id for one in page.moved) if vectors else ()
    late_labels = {} if processor.late is None else processor.late.said_of(asked)
    return View.of(processor.parts, vectors=vectors, late_labels=late_labels)


def _connect(transport: Transport, stack: contextlib.ExitStack) -> tuple[Source, Sink]:
    """Source and sink, to be closed by `stack`; where only one of them can be opened, it is closed at once."""
    with contextlib.ExitStack() as attempt:
        ends = transport.connect(attempt)
        stack.enter_context(attempt.pop_all())
    return ends


def device_of(wanted: str) -> str:
    """Where the learner computes: on the GPU that the encoder uses, else with NumPy, which loads no torch either."""
    torch = sys.modules.get("torch")
    if torch is None or wanted == "cpu" or not torch.cuda.is_available():
        return "numpy"
    from stream_adapter.encode.clip import pick_device

    return str(pick_device(wanted))


def open_predictions(
    config: Config, metrics: Metrics, stack: contextlib.ExitStack, *, share: float | None = None
) -> tuple[Answering | None, list[BaseRoute]]:
    """What answers `POST /predict` and Label Studio, where anybody may ask, and the routes; to be ended by `stack`."""
    access = Access.of_predictions(config.predict, config.page, config.service.host)
    if not (access.enabled or config.label_studio.secret):
        return None, []
    settings = config.predict if share is None else config.predict.model_copy(update={"share": share})
    answering = Answering(settings, metrics)
    stack.callback(answering.stop)
    routes: list[BaseRoute] = []
    if access.enabled:
        routes += PredictApi(answering, access, metrics, config.encoder.max_bytes).routes()
    if config.label_studio.secret:
        # Of its own, because it sends labels: who may ask need not be able to teach.
        own = Access.of_predictions(config.label_studio, config.page, config.service.host)
        api = PredictApi(answering, own, metrics, config.encoder.max_bytes)
        routes += LabelStudio(api, lambda outputs: transport_of(config).write(outputs)).routes()
    return answering, routes


def _open_page(config: Config, metrics: Metrics, health: Health, stack: contextlib.ExitStack) -> Page | None:
    """The live page, where there is to be one."""
    access = Access.of(config.page, config.service.host)
    if not access.enabled:
        return None
    page = Page(config.page, access, metrics, lambda: health.state)
    page.start()
    stack.callback(page.stop)
    return page


def _notify(page: Page | None, alarm: DriftAlarm) -> None:
    """Show a finding to people, wherever they look."""
    log_alarm(alarm)
    if page is not None:
        page.on_alarm(alarm)


def _check_http(http: HttpServer | None) -> None:
    """A worker that nobody can ask how it is must not run on."""
    if http is not None and not http.alive:
        raise StreamAdapterError("the HTTP thread has ended, see the log above; the worker stops with it")
