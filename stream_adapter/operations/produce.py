"""Pictures from files into the images, with progress for a person."""

from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stream_adapter.config import Config, FilesConfig
from stream_adapter.transport.files.source import open_input
from stream_adapter.transport.opening import transport_of


def produce_all(
    config: Config,
    source: Path,
    *,
    labels: bool,
    rate: float | None,
    limit: int | None,
    console: Console,
) -> int:
    """Send a folder, manifest or recording to the images.

    Args:
        config: where to.
        source: what to send.
        labels: whether labels are sent along.
        rate: events a second at most.
        limit: stop after so many events.
        console: shows progress, rate, and what was refused.

    Returns:
        How many events were sent.

    Raises:
        TransportError: the input cannot be read, or the topic cannot be written.
    """
    transport = transport_of(config)
    files = open_input(FilesConfig(input=source, output=source.parent, labels=labels))
    total = min(len(files), limit or len(files))
    columns = (
        TextColumn("sending"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total, speed="")
        for progress in transport.produce(islice(files.records(0), total), rate=rate):
            done = progress.sent + progress.refused.total()
            bar.update(task, completed=done)
            elapsed_s = bar.tasks[task].elapsed or 0.0
            bar.update(task, speed=f"{done / elapsed_s:.0f}/s" if elapsed_s else "")
    refused = ", ".join(f"{number} {reason}" for reason, number in sorted(progress.refused.items()) if number)
    console.print(f"{progress.sent} sent, {refused or 'none'} refused", highlight=False)
    return progress.sent
