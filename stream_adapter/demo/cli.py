"""The commands that draw their own pictures, thin; see `stream_adapter.cli`."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from stream_adapter.operations.cli import load_config


def demo(
    output: Annotated[Path, typer.Option(file_okay=False, help="Folder for summary.json and accuracy.png.")] = Path(
        "demo-output"
    ),
    pictures: Annotated[
        Literal["groceries", "drawn"],
        typer.Option(help="Photographs of shelves, or drawings on which the small CLIP itself is at work."),
    ] = "groceries",
    events: Annotated[
        int | None, typer.Option(min=100, help="Pictures in the stream; by default 527, of drawn ones 4,000.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1.0, help="Pictures sent a second; by default 6, of drawn ones 80.")
    ] = None,
    transport: Annotated[
        Literal["auto", "kafka", "files"],
        typer.Option(help="auto: Kafka where KAFKA_BOOTSTRAP_SERVERS is set or Java and Maven are there, else files."),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of pictures and labels.")] = 0,
    browser: Annotated[
        bool, typer.Option(help="Open the worker's page, where this runs in a terminal with a display.")
    ] = True,
) -> None:
    """See it learn: a broker, a worker, a stream of pictures, and the accuracy against the truth."""
    from stream_adapter.demo.display import Display
    from stream_adapter.demo.run import DemoSettings, run_demo

    settings = DemoSettings(
        output=output,
        pictures=pictures,
        events=events,
        rate=rate,
        transport=None if transport == "auto" else transport,
        seed=seed,
        browser=browser,
    )
    run_demo(settings, Display())


def produce_samples(
    file: Annotated[Path, typer.Argument(help="Configuration file; see configs/default.yaml.", show_default=False)],
    rate: Annotated[float, typer.Option(min=0.1, help="Pictures a second.")] = 20.0,
    label_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the pictures with a label.")] = 0.3,
    shift_every: Annotated[int, typer.Option(min=1, help="Pictures after which their style changes.")] = 3_000,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many pictures.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of pictures and labels.")] = 0,
) -> None:
    """Send drawn pictures of the vocabulary's classes to the images topic until stopped: something to look at."""
    from stream_adapter.demo.samples import SampleSettings, send_samples

    settings = SampleSettings(rate=rate, label_share=label_share, shift_every=shift_every, limit=limit, seed=seed)
    send_samples(load_config(file), settings, Console(stderr=True))
