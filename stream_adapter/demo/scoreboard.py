"""What the demo knows and the worker does not: the truth about every picture, and how both models do against it."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

GROUPS = ("labelled", "canary")
_WINDOW = 200  # newest events of a group that the curves are drawn over


@dataclass(frozen=True, slots=True)
class Sent:
    """One picture that was sent.

    Attributes:
        position: its place in the stream, from 0.
        truth: its class.
        group: "labelled" for a class that gets labels, "canary" for one that never teaches.
    """

    position: int
    truth: str
    group: str


@dataclass(slots=True)
class GroupScore:
    """Hits of one group over the whole run and over its newest events."""

    window: deque[tuple[bool, bool]]
    events: int = 0
    zero_shot: int = 0
    adapted: int = 0
    hits: list[tuple[int, bool, bool]] = field(default_factory=list)  # position in the stream, zero-shot, adapted

    def newest(self) -> tuple[float, float]:
        """Accuracy of zero-shot and adapted over the window, 0..1."""
        held = len(self.window)
        return sum(hit[0] for hit in self.window) / held, sum(hit[1] for hit in self.window) / held


class Scoreboard:
    """Scores predictions as they come, each event once, however often it was predicted."""

    def __init__(self) -> None:
        self._sent: dict[str, Sent] = {}
        self._scored: set[str] = set()
        self.repeated = 0
        self.groups = {group: GroupScore(deque(maxlen=_WINDOW)) for group in GROUPS}

    def sent(self, event_id: str, picture: Sent) -> None:
        """Note a picture before it is sent."""
        self._sent[event_id] = picture

    def predicted(self, prediction: dict[str, Any]) -> None:
        """Score one prediction in its wire form."""
        event_id = prediction["event"]["id"]
        if event_id in self._scored:
            self.repeated += 1  # at least once: a worker that was killed predicts its last batch again
            return
        self._scored.add(event_id)
        picture = self._sent[event_id]
        score = self.groups[picture.group]
        hits = prediction["zero_shot_label"] == picture.truth, prediction["top"][0]["label"] == picture.truth
        score.events += 1
        score.zero_shot += hits[0]
        score.adapted += hits[1]
        score.window.append(hits)
        score.hits.append((picture.position, *hits))

    @property
    def scored(self) -> int:
        """Events that have a prediction."""
        return len(self._scored)

    def missing(self) -> Iterable[str]:
        """Events that were sent and have no prediction yet."""
        return self._sent.keys() - self._scored

    def summary(self) -> dict[str, dict[str, float]]:
        """Per group: events, and accuracy of zero-shot and adapted over the whole run, 0..1."""
        return {
            group: {
                "events": score.events,
                "zero_shot": round(score.zero_shot / score.events, 4) if score.events else 0.0,
                "adapted": round(score.adapted / score.events, 4) if score.events else 0.0,
            }
            for group, score in self.groups.items()
        }
