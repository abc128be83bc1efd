"""What the demo knows and the worker does not: the truth about every picture, how both models do, and a plot of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stream_adapter.evaluate.scores import windowed

_TITLES = {"labelled": "classes that get labels", "canary": "classes that are never taught"}

GROUPS = ("labelled", "canary")
PARTS = ("wrong", "after")
WINDOW = 200
"""Newest events of a group that curves and the live table are about."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One picture that was sent.

    Attributes:
        position: its place in the stream, from 0.
        group: "labelled" for a class that gets labels, "canary" for one that never teaches.
        part: of the opening, see `groceries.opening_part`.
    """

    position: int
    truth: str
    group: str
    part: str = ""


@dataclass(slots=True)
class GroupScore:
    """Hits of one group, in the order in which they came: position in the stream, zero-shot, adapted."""

    hits: list[tuple[int, bool, bool]] = field(default_factory=list)

    def accuracy(self, newest: int | None = None) -> tuple[float, float]:
        """Accuracy of zero-shot and adapted over so many of the newest events, or over all, 0..1; 0 without any."""
        held = self.hits[-newest:] if newest else self.hits
        zero_shot, adapted = (sum(hit[column] for hit in held) / max(len(held), 1) for column in (1, 2))
        return zero_shot, adapted


class Scoreboard:
    """Scores predictions as they come, each event once, however often it was predicted."""

    def __init__(self) -> None:
        self._sent: dict[str, Sent] = {}
        self._scored: set[str] = set()
        self.groups = {group: GroupScore() for group in GROUPS}
        self.parts = {part: GroupScore() for part in PARTS}

    def sent(self, event_id: str, picture: Sent) -> None:
        """Note a picture before it is sent."""
        self._sent[event_id] = picture

    def predicted(self, prediction: dict[str, Any]) -> None:
        """Score one prediction in its wire form."""
        event_id = prediction["event"]["id"]
        if event_id in self._scored:
            return  # at least once: a worker that was killed predicts its last batch again
        self._scored.add(event_id)
        picture = self._sent[event_id]
        hits = prediction["zero_shot_label"] == picture.truth, prediction["top"][0]["label"] == picture.truth
        self.groups[picture.group].hits.append((picture.position, *hits))
        if picture.part:
            self.parts[picture.part].hits.append((picture.position, *hits))

    @property
    def scored(self) -> int:
        """Events that have a prediction."""
        return len(self._scored)

    def summary(self) -> dict[str, dict[str, float]]:
        """Per group: events, and accuracy of zero-shot and adapted over the whole run, 0..1."""
        return {
            group: {"events": len(score.hits), "zero_shot": round(zero_shot, 4), "adapted": round(adapted, 4)}
            for group, score in self.groups.items()
            for zero_shot, adapted in (score.accuracy(),)
        }


def save_plot(board: Scoreboard, shift_at: int | None, path: Path) -> None:
    """Draw the curves of both groups into a PNG file."""
    import matplotlib as mpl  # heavy, and needed at the very end only

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for axis, (group, score) in zip(axes, board.groups.items(), strict=True):
        # In the stream's order: partitions are read at their own pace.
        position, zero_shot, adapted = np.array(sorted(score.hits)).T  # (n,) each
        axis.plot(position, windowed(zero_shot, WINDOW), color="#888888", label="zero-shot (untouched CLIP)")
        axis.plot(position, windowed(adapted, WINDOW), color="#1f6f4a", label="adapted")
        if shift_at is not None:
            axis.axvline(shift_at, color="#bbbbbb", linestyle=":")
            axis.text(shift_at, 0.02, " the style changes", color="#777777", transform=axis.get_xaxis_transform())
        axis.set_title(_TITLES[group])
        axis.set_xlabel("events")
        axis.grid(alpha=0.2)
    axes[0].set_ylabel(f"accuracy over the newest {WINDOW} events")
    axes[0].set_ylim(0, 1.02)
    axes[0].legend(loc="lower left")
    figure.savefig(path, dpi=120)
    plt.close(figure)
