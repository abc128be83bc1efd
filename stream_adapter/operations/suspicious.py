"""Labels that may be wrong: those that other anchors contradict, and those that did harm to later labelled events."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stream_adapter.adapter.anchors.contradictions import contradictions
from stream_adapter.config import Config
from stream_adapter.errors import MalformedEvent
from stream_adapter.events import AnchorRecord
from stream_adapter.events.moved import Moved, harm_and_help
from stream_adapter.events.payloads import json_object
from stream_adapter.events.waiting import LABEL_PREFIX, LabelRecord
from stream_adapter.operations.anchors import read_anchors
from stream_adapter.operations.labels import come_apart, last_waiting
from stream_adapter.transport.base import Record
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import read_all


@dataclass(slots=True)
class Suspicion:
    """What speaks against an anchor.

    Attributes:
        others_say: the label that most of its nearest anchors have.
        contradicted: the share of their word that is for other labels, 0..1.
        harmed: labelled events that zero-shot had right and the adapted model had wrong with this anchor's label, among
            whose nearest anchors it was, but for its own.
        helped: those that it helped to get right.
    """

    anchor: AnchorRecord
    others_say: str
    contradicted: float
    harmed: int = 0
    helped: int = 0


@dataclass(slots=True)
class Annotator:
    """What an annotator's anchors come to."""

    name: str
    anchors: int = 0
    contradicted: int = 0
    harmed: int = 0
    helped: int = 0


@dataclass(slots=True)
class Suspects:
    """The anchors of which something speaks for being wrong, the worst first, and all annotators."""

    anchors: list[Suspicion] = field(default_factory=list)
    annotators: list[Annotator] = field(default_factory=list)


def suspects(config: Config) -> Suspects:
    """Hold every anchor against its nearest ones, and against what the predictions say that it did.

    Takes the square of the number of anchors: at d = 512, for 10,000 of them, seconds.
    """
    anchors = list(read_anchors(config).values())
    said = contradicted(anchors)
    by_id = {suspicion.anchor.anchor_id: suspicion for suspicion in said}
    _blame(config, by_id)
    annotators: dict[str, Annotator] = {}
    for suspicion in said:
        one = annotators.setdefault(suspicion.anchor.annotator, Annotator(suspicion.anchor.annotator))
        one.anchors += 1
        one.contradicted += suspicion.contradicted > 0.5
        one.harmed += suspicion.harmed
        one.helped += suspicion.helped
    found = [one for one in said if one.contradicted > 0.5 or one.harmed > one.helped]
    found.sort(key=lambda one: (one.harmed - one.helped, one.contradicted), reverse=True)
    return Suspects(found, sorted(annotators.values(), key=lambda one: one.contradicted + one.harmed, reverse=True))


def contradicted(anchors: Sequence[AnchorRecord]) -> list[Suspicion]:
    """What the nearest other anchors of each say."""
    if not anchors:
        return []
    names, labels = np.unique([anchor.label for anchor in anchors], return_inverse=True)
    shares, others = contradictions(np.stack([anchor.vector for anchor in anchors]), labels)
    return [
        Suspicion(anchor, str(names[other]), share)
        for anchor, share, other in zip(anchors, shares.tolist(), others.tolist(), strict=True)
    ]


def _blame(config: Config, anchors: Mapping[str, Suspicion]) -> None:
    """Count whom each anchor harmed and helped, by the predictions and what their labels turned out to be."""
    transport = transport_of(config)
    truth = {one.anchor.anchor_id: one.anchor.label for one in anchors.values()}
    for key, value in last_waiting(transport).items() if come_apart(config) else ():
        if key.startswith(LABEL_PREFIX):
            with contextlib.suppress(MalformedEvent):
                truth[key.removeprefix(LABEL_PREFIX)] = LabelRecord.from_value(value).event.label or ""
    harmed, helped = harm_and_help(_moved(read_all(transport, "predictions")), truth)
    for anchor_id in (harmed.keys() | helped.keys()) & anchors.keys():
        anchors[anchor_id].harmed, anchors[anchor_id].helped = harmed[anchor_id], helped[anchor_id]


def _moved(records: Iterable[Record]) -> Iterator[Moved]:
    for record in records:
        # Somebody else's record says nothing.
        with contextlib.suppress(MalformedEvent, AttributeError, IndexError, KeyError, TypeError):
            moved = Moved.of(json_object(record.value, "a prediction"))
            if moved is not None:
                yield moved
