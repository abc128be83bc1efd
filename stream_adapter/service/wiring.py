"""The one place in which the parts of a journey are put together: for the worker, for `evaluate` and for tests."""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from stream_adapter import config
from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import AdapterConfig, Config
from stream_adapter.drift.alarm import DriftAlarm
from stream_adapter.drift.guarded import Guarded
from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.settings import DriftSettings
from stream_adapter.encode.base import Encoder
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.events.label import PlainLabels, parse_label_event
from stream_adapter.journey.classes import ClassesInForce, Encode
from stream_adapter.journey.explaining import Explain, Explaining
from stream_adapter.journey.foreign import Foreign, LeftAlone
from stream_adapter.journey.labels import Labels
from stream_adapter.journey.late_labels import LateLabels
from stream_adapter.journey.late_pictures import LatePictures
from stream_adapter.journey.late_tests import LateTests
from stream_adapter.journey.observing import Observer
from stream_adapter.journey.parts import Parts
from stream_adapter.journey.processor import Processor
from stream_adapter.journey.reading import Reader
from stream_adapter.journey.replica import Replica
from stream_adapter.journey.scoring import Scoring
from stream_adapter.journey.set_aside import KEPT_REMOVED_S
from stream_adapter.journey.sharing import Sharing
from stream_adapter.journey.suggesting import Suggesting
from stream_adapter.journey.turns import Turns
from stream_adapter.journey.vocabulary import LiveVocabulary
from stream_adapter.journey.watching import Watching, log_alarm
from stream_adapter.metrics import Metrics
from stream_adapter.references import References
from stream_adapter.transport.dead_letters import DeadLetterLimit


@dataclass(frozen=True, slots=True)
class JourneyConfig:
    """What can be set about the journey of a batch.

    docs/configuration.md says what each is.
    """

    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    drift: DriftSettings = field(default_factory=DriftSettings)
    dead_letters: config.DeadLetterLimit = field(default_factory=config.DeadLetterLimit)
    events: config.EventsConfig = field(default_factory=config.EventsConfig)
    labels: config.LabelsConfig = field(default_factory=config.LabelsConfig)
    unknown_labels: Literal["reject", "ignore", "add"] = "reject"
    top_k: int = 5
    explain: Explain = "full"

    @classmethod
    def of(cls, config: Config) -> "JourneyConfig":
        """What a worker's configuration says of it."""
        return cls(
            adapter=config.adapter,
            drift=config.drift,
            dead_letters=config.dead_letters,
            events=config.events,
            labels=config.labels,
            unknown_labels=config.vocabulary.unknown_labels,
            top_k=config.batch.top_k,
            explain=config.predictions.explain,
        )


def make_processor(
    encoder: Encoder,
    vocabulary: Vocabulary,
    config: JourneyConfig,
    *,
    context: LearnerContext,
    writer: str,
    source: str,
    decoders: Executor,
    metrics: Metrics,
    clock: Callable[[], float],
    notify: Callable[[DriftAlarm], None] = log_alarm,
    observer: Observer | None = None,
    encode: Encode | None = None,
    waiting_partitions: int = 0,
    now_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    references: References | None = None,
    alone: bool = False,
) -> Processor:
    """Everything between records that were read and what is to be written because of them.

    `writer` is this process's name in the changelog, `source` that of its drift events. `encode` makes text vectors of
    classes that come later; without it they must bring theirs. `waiting_partitions` are those of the topic of events
    that wait for labels; 0: labels come with their events alone. `alone`: no other process ever writes anchors.
    """
    names, fingerprint = vocabulary.class_names, encoder.fingerprint
    live = LiveVocabulary(vocabulary, config.adapter.canaries)
    canary, turns = live.now.canary, Turns()  # (C,)
    drift = config.drift
    if not config.adapter.protection and not any(config.adapter.protect.values()):
        drift = drift.model_copy(update={"protection_steps": 0})  # there is nothing to double
    watching = Watching(
        partial(DriftMonitor, names, vocabulary.logit_scale, canary, drift),
        source=source,
        status_every_s=config.drift.status_every_s,
        metrics=metrics,
        notify=notify,
    )
    adapter = Adapter(
        vocabulary.text_vectors,
        names,
        vocabulary.logit_scale,
        config.adapter,
        context=replace(context, give_way=turns.give_way),
        guard=lambda learner: Guarded(learner, lambda: watching.guard, lambda: watching.protection),
    )
    replica = Replica(
        adapter,
        fingerprint=fingerprint,
        writer=writer,
        metrics=metrics,
        clock=clock,
        removed_kept_s=0.0 if alone else KEPT_REMOVED_S,
    )
    remembered = config.labels.remembered_max_events
    labels = Labels(replica, names, fingerprint=fingerprint, metrics=metrics, remembered=remembered)
    scoring = Scoring(canary, metrics)
    slot = context.slot
    left_alone = LeftAlone(metrics)
    sharing = Sharing(
        adapter,
        slot=slot,
        writer=writer,
        fingerprint=fingerprint,
        vocabulary=vocabulary.hash,
        left_alone=left_alone,
    )
    explaining = Explaining(vocabulary, fingerprint, config.top_k, config.explain)
    reader = Reader(
        encoder,
        names,
        reject_unknown_labels=config.unknown_labels == "reject",
        decoders=decoders,
        metrics=metrics,
        events=config.events,
        references=references,
    )
    classes = ClassesInForce(
        live,
        labels=labels,
        scoring=scoring,
        watching=watching,
        sharing=sharing,
        explaining=explaining,
        reader=reader,
        drift=drift,
        scale=vocabulary.logit_scale,
        metrics=metrics,
        encode=encode,
        background=context.background or InlineExecutor(),
        add_unknown=config.unknown_labels == "add",
        source=source,
        left_alone=left_alone,
    )
    late = suggesting = None
    if waiting_partitions:
        tests = LateTests(
            labels,
            scoring,
            watching,
            partitions=waiting_partitions,
            fingerprint=fingerprint,
            classes=live.now,
            metrics=metrics,
            now_ms=now_ms,
        )
        classes.followers.append(tests.set_classes)
        late = LateLabels(
            labels,
            tests,
            config=config.labels,
            partitions=waiting_partitions,
            pictures=LatePictures(encoder, reader.unexpected, reader.fetch),
            fingerprint=fingerprint,
            check=reader.check_label,
            parse=partial(parse_label_event, times=reader.times, plain=PlainLabels(config.labels, config.events)),
            unexpected=reader.unexpected,
            left_alone=left_alone,
            slot=slot,
            metrics=metrics,
            now_ms=now_ms,
        )
        suggesting = Suggesting(
            adapter,
            late.unlabelled,
            number=config.labels.suggest,
            every_s=config.labels.suggest_every_s,
            source=source,
            slot=slot,
            canaries=lambda: [name for name, held in zip(live.now.names, live.now.canary, strict=True) if held],
            now_ms=now_ms,
        )
    return Processor(
        Parts(adapter, scoring, watching, labels, sharing, classes),
        reader=reader,
        encoder=encoder,
        explaining=explaining,
        limit=DeadLetterLimit(config.dead_letters, flood=metrics.flood.set),
        foreign=Foreign(fingerprint=fingerprint, dimension=adapter.dimension, left_alone=left_alone),
        metrics=metrics,
        clock=clock,
        observer=observer,
        late=late,
        suggesting=suggesting,
        turns=turns,
    )
