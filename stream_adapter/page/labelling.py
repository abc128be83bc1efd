"""What the page asks people to label, and what is sent where they do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.headers import format_time
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent
from stream_adapter.journey.questions import Questions
from stream_adapter.page.pictures import Pictures
from stream_adapter.transport.base import OutRecord

SENDER = "stream_adapter/page"
_TEXTS = ("source", "id", "label", "annotator")
_LONGEST = 2_000  # characters: less than what a label event may have


@dataclass(frozen=True, slots=True)
class Labelling:
    """Labels that come apart from their events, by way of the page; for any thread.

    Attributes:
        questions: chooses, and knows the classes.
        write: puts label events where workers read them; waits until they are durable.
    """

    questions: Questions
    write: Callable[[Sequence[OutRecord]], None]

    def next(self, pictures: Pictures, number: int) -> list[dict[str, Any]]:
        """What to label next, best first, among the events whose picture is kept; among all where none is: JSON."""
        found = self.questions.to_label(pictures.kept(), number)
        ids = [anchor_id_of(event.source, event.id) for event, _ in found]
        kept = pictures.of(ids)
        return [
            {
                "anchor_id": anchor_id,
                "source": event.source,
                "id": event.id,
                "time": format_time(event.time_ms),
                "picture": kept[anchor_id],
                "zero_shot_label": said["zero_shot_label"],
                "top": [{"label": one["label"], "adapted": one["adapted"]} for one in said["top"]],
            }
            for anchor_id, (event, said) in zip(ids, found, strict=True)
        ]

    def label(self, document: Any) -> str | None:
        """Send what a request says, once it is checked; None where it withdraws a label.

        Raises:
            EventError: it names no event or no label, or its label is no class.
            TransportError: it cannot be written.
        """
        given = {name: document.get(name) if isinstance(document, dict) else None for name in _TEXTS}
        for name, text in given.items():
            if text is not None and not (isinstance(text, str) and len(text) <= _LONGEST):
                raise MalformedEvent(f"`{name}` must be a text of at most {_LONGEST} characters")
        source, id, label, annotator = given.values()
        if not isinstance(document, dict) or "label" not in document:  # a slip of a webhook takes no label back
            raise MalformedEvent("`label` is missing; null withdraws a label")
        event = LabelEvent.new(source or "", id or "", label, annotator=annotator or None, sender=SENDER)
        if event.label is not None:
            self.questions.check_label(event.label)
        self.write([event.to_output()])
        return event.label
