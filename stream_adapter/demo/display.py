"""What the demo shows: live in a terminal, a line now and then elsewhere, and a summary at the end."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream_adapter.demo.groceries import AFTER, WRONG
from stream_adapter.demo.scoreboard import WINDOW, Scoreboard

_NAMES = {"labelled": "labelled now and then", "canary": "never taught"}
_LINE_EVERY_S = 5.0
_WRONG = (
    "{n} vegetables that CLIP takes for something else: it gets {zero_shot} right, the worker {adapted}.\n"
    "One of them is labelled “vegetable” now."
)
_AFTER = "The next {n} of their kind: CLIP alone gets {zero_shot} right, the worker {adapted}, after one label."


class Display:
    """Writes to a console; a console that is no terminal gets plain lines."""

    def __init__(self) -> None:
        self._console = Console()
        self._live: Live | None = None
        self._board: Scoreboard | None = None
        self._told: set[str] = set()
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._task = self._progress.add_task("pictures predicted", total=None)
        self._line_due_at = 0.0

    def say(self, text: str) -> None:
        """A line of text, above whatever is live."""
        self._console.print(text, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show that something takes its time."""
        if self._console.is_terminal:
            with self._console.status(text + " …"):
                yield
        else:
            self.say(text + " …")
            yield

    def started(self, transport: str, page: str, token: str, pictures: str) -> None:
        """Say what is about to be seen, where the worker's page is, and the token with which anchors can be deleted."""
        told = {
            "groceries": "A worker watches a shop's shelves: photographs by phone, real CLIP vectors, 171 names.\n"
            "Fruit and vegetables are taught now and then; apples, bananas, carrots and oranges never are.",
            "drawn": "A worker learns from drawn pictures. Some classes get a label now and then, others never;\n"
            "half way the style changes.",
        }[pictures]
        self.say(f"{told} Transport: {transport}.")
        self._console.print(
            Panel(f"[bold]{page}[/bold]\nwhile it runs; to forget anchors there: token {token}", title="Watch it live"),
            highlight=False,
        )

    @contextlib.contextmanager
    def live(self, events: int, board: Scoreboard) -> Iterator[None]:
        """Keep the table up to date until the block ends."""
        self._board = board
        self._progress.update(self._task, total=events)
        if not self._console.is_terminal:
            yield
            return
        with Live(self._render(), console=self._console, refresh_per_second=4) as self._live:
            yield
            self._live.update(self._render())
        self._live = None

    def update(self) -> None:
        """Show the scores as they are now."""
        assert self._board is not None
        self._progress.update(self._task, completed=self._board.scored)
        self._tell_opening(self._board)
        if self._live is not None:
            self._live.update(self._render())
        elif not self._console.is_terminal and time.monotonic() >= self._line_due_at and self._board.scored:
            self._line_due_at = time.monotonic() + _LINE_EVERY_S
            self.say(self._line())

    def _tell_opening(self, board: Scoreboard) -> None:
        """What one label did, as soon as it is seen; the pictures of the opening are chosen to show it."""
        for part, number, text in (("wrong", WRONG, _WRONG), ("after", AFTER, _AFTER)):
            hits = board.parts[part].hits
            if len(hits) == number and part not in self._told:
                self._told.add(part)
                zero_shot, adapted = (sum(hit[column] for hit in hits) for column in (1, 2))
                self.say(text.format(n=number, zero_shot=zero_shot, adapted=adapted))

    def finished(self, summary: dict[str, Any], files: list[Path]) -> None:
        """The summary table, and where to look further."""
        table = _table("Accuracy over the whole run", "events", "zero-shot", "adapted", "difference")
        for group, figures in summary["groups"].items():
            difference = 100 * (figures["adapted"] - figures["zero_shot"])
            table.add_row(
                _NAMES[group],
                str(figures["events"]),
                f"{figures['zero_shot']:.1%}",
                f"{figures['adapted']:.1%}",
                f"{difference:+.1f} points",
            )
        self._console.print(table)
        self.say(
            f"{summary['events']} pictures through {summary['transport']} in {summary['seconds']} s, "
            f"{summary['dead_letters']} without a prediction."
        )
        self.say("Saved: " + ", ".join(map(str, files)))

    def _render(self) -> RenderableType:
        assert self._board is not None
        table = _table(f"Accuracy over the newest {WINDOW} pictures", "pictures", "zero-shot", "adapted")
        for group, score in self._board.groups.items():
            shown = [f"{value:.1%}" for value in score.accuracy(WINDOW)] if score.hits else ["–", "–"]
            table.add_row(_NAMES[group], str(len(score.hits)), *shown)
        return Group(table, self._progress)

    def _line(self) -> str:
        assert self._board is not None
        groups = "; ".join(
            "{}: zero-shot {:.1%}, adapted {:.1%}".format(_NAMES[group], *score.accuracy(WINDOW))
            for group, score in self._board.groups.items()
            if score.hits
        )
        return f"{self._board.scored} pictures; newest 200 {groups}"


def _table(title: str, *figures: str) -> Table:
    table = Table("classes", title=title, title_justify="left")
    for figure in figures:
        table.add_column(figure, justify="right")
    return table
