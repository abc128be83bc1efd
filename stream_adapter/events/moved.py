"""Answers that labels moved away from zero-shot's, and whom their events' labels turn out to blame for it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.prediction import PredictionDocument


class Moved(NamedTuple):
    """An answer that is not zero-shot's.

    Attributes:
        anchor_id: of the event.
        label: what the event came with; "" without one.
        adapted: the class of the answer.
        zero_shot: the class that zero-shot says.
        behind: ids of the anchors of the answer's class that the prediction names, but for the event's own.
    """

    anchor_id: str
    label: str
    adapted: str
    zero_shot: str
    behind: tuple[str, ...]

    @classmethod
    def of(cls, prediction: PredictionDocument) -> "Moved | None":
        """Read a prediction; None where both models say the same."""
        adapted, zero_shot = prediction["top"][0]["label"], prediction["zero_shot_label"]
        if adapted == zero_shot:
            return None
        own = anchor_id_of(prediction["event"]["source"], prediction["event"]["id"])
        ids = (one["id"] for one in prediction.get("anchors", ()) if one["label"] == adapted)
        return cls(own, prediction.get("label") or "", adapted, zero_shot, tuple(id for id in ids if id != own))


def harm_and_help(moved: Iterable[Moved], truth: Mapping[str, str]) -> tuple[Counter[str], Counter[str]]:
    """How many labelled events each anchor, by id, moved from the right class to its own, and to the right one.

    Args:
        moved: answers.
        truth: labels that came apart from their events, by the events' anchor ids.
    """
    harmed, helped = Counter[str](), Counter[str]()
    for one in moved:
        label = one.label or truth.get(one.anchor_id)
        if label == one.zero_shot:
            harmed.update(one.behind)
        elif label == one.adapted:
            helped.update(one.behind)
    return harmed, helped
