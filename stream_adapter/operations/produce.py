"""Pictures from files into the images, with progress for a person."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stream_adapter.config import Config, FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.terminal_text import escape_controls
from stream_adapter.transport.base import UNREADABLE, Record
from stream_adapter.transport.files.source import open_input
from stream_adapter.transport.opening import transport_of


def produce_all(
    config: Config,
    source: Path,
    *,
    labels: bool,
    class_folder: Literal["own", "top"],
    rate: float | None,
    limit: int | None,
    console: Console,
) -> int:
    """Send a folder, manifest or recording to the images.

    Returns:
        How many events were sent.
    """
    transport = transport_of(config)
    files = open_input(FilesConfig(input=source, output=source.parent, labels=labels, class_folder=class_folder))
    total = min(len(files), limit or len(files))
    unreadable: list[str] = []
    records = _watched(islice(files.records(0), total), unreadable)
    columns = (
        TextColumn("sending"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total, speed="")
        for progress in transport.produce(records, rate=rate):
            done = progress.sent + progress.refused.total()
            bar.update(task, completed=done)
            elapsed_s = bar.tasks[task].elapsed or 0.0
            bar.update(task, speed=f"{done / elapsed_s:.0f}/s" if elapsed_s else "")
    reasons = [f"{number} {reason}" for reason, number in progress.refused.most_common() if number]
    refused = ", ".join(reasons) or "none"
    if unreadable:
        refused += f" (the first: {unreadable[0]})"
    if reasons and not progress.sent:
        raise TransportError(f"nothing was sent, everything refused: {refused}")
    console.print(escape_controls(f"{progress.sent} sent, {refused} refused"), highlight=False, markup=False)
    return progress.sent


def _watched(records: Iterator[Record], unreadable: list[str]) -> Iterator[Record]:
    """The same records; of the first that could not be read the reason is noted."""
    for record in records:
        reason = dict(record.headers).get(UNREADABLE)
        if reason is not None and not unreadable:
            unreadable.append(reason.decode(errors="replace"))
        yield record
