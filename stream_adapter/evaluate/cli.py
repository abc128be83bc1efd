"""The `evaluate` commands, thin; imported with every command, so nothing heavy is imported before one runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

app = typer.Typer(
    help="Compare methods on your data: on a stream, with few shots, or class by class.", no_args_is_help=True
)

File = Annotated[
    Path, typer.Argument(help="Feature file (.npz), folder CLASS/picture.jpg, manifest or recorded topic.")
]
ConfigOption = Annotated[
    Path | None, typer.Option(help="Configuration: encoder and vocabulary for pictures, settings of `default`.")
]
SaveFeatures = Annotated[Path | None, typer.Option(help="Keep the embedded pictures as a feature file (.npz).")]
Methods = Annotated[str, typer.Option(help="Names with commas; zero-shot is always run.")]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that share the work.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write the report as one page with plots.")]
Batch = Annotated[int, typer.Option(min=1, help="Events predicted together, before any of their labels is learned.")]

_WIDE = 160

DEFAULT_METHODS = "zero-shot,llu,tip-adapter,knn,slda,ranpac,rail,anytime,kernel-ridge,lsa,stata,default"


@app.command()
def stream(
    file: File,
    methods: Methods = DEFAULT_METHODS,
    label_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of the events that get a label.")] = 0.3,
    canaries: Annotated[
        str, typer.Option(help="Share of the classes, drawn by seed, or names with commas: scored, never learned.")
    ] = "0.3",
    canary_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of the canaries' events that is kept.")] = 1.0,
    canaries_after: Annotated[
        float, typer.Option(min=0, max=1, help="No canary comes before this share of the stream.")
    ] = 0.0,
    events: Annotated[int, typer.Option(min=1, help="Length of the stream; by domain, an equal part of each.")] = 2500,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of canaries, order and labels.")] = 3,
    delay: Annotated[int, typer.Option(min=0, help="Events that pass before a label is learned.")] = 0,
    label_noise: Annotated[float, typer.Option(min=0, max=1, help="Share of the labels that are wrong.")] = 0.0,
    select: Annotated[
        Literal["random", "least-confident", "most-confident"],
        typer.Option(help="Which events get labels, by zero-shot's confidence."),
    ] = "random",
    order: Annotated[
        Literal["shuffled", "by-domain"], typer.Option(help="All shuffled, or domain after domain.")
    ] = "shuffled",
    batch: Batch = 64,
    config: ConfigOption = None,
    save_features: SaveFeatures = None,
    jobs: Jobs = 1,
    json: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Prequential: predict, then learn; classes that are never taught are scored beside those that are."""
    from stream_adapter.evaluate.command import Request, evaluate, share_or_names
    from stream_adapter.evaluate.stream import StreamSettings

    evaluate(
        Request(file, config, save_features, methods, seeds, jobs, json, html),
        StreamSettings(
            label_rate=label_rate,
            canaries=share_or_names(canaries),
            canary_rate=canary_rate,
            canaries_after=canaries_after,
            events=events,
            delay=delay,
            label_noise=label_noise,
            select=select,
            order=order,
            batch=batch,
        ),
        _console(),
        Console(stderr=True),
    )


@app.command("few-shot")
def few_shot(
    file: File,
    methods: Methods = DEFAULT_METHODS,
    shots: Annotated[str, typer.Option(help="Labelled pictures per seen class, several with commas.")] = "1,4,16",
    seen: Annotated[float, typer.Option(min=0, max=1, help="Share of the classes that are taught.")] = 0.5,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of classes and pictures.")] = 5,
    batch: Batch = 64,
    config: ConfigOption = None,
    save_features: SaveFeatures = None,
    jobs: Jobs = 1,
    json: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Some classes have a few labels, the others none: on the joint vocabulary, and base-to-new."""
    from stream_adapter.evaluate.command import Request, evaluate, whole_numbers
    from stream_adapter.evaluate.few_shot import FewShotSettings

    evaluate(
        Request(file, config, save_features, methods, seeds, jobs, json, html),
        FewShotSettings(shots=whole_numbers(shots, "--shots"), seen=seen, batch=batch),
        _console(),
        Console(stderr=True),
    )


@app.command()
def incremental(
    file: File,
    methods: Methods = DEFAULT_METHODS,
    by: Annotated[Literal["class", "domain"], typer.Option(help="What the tasks are.")] = "class",
    tasks: Annotated[int, typer.Option(min=2, help="Groups of classes, with --by class.")] = 5,
    train: Annotated[float, typer.Option(min=0, max=1, help="Share that is learned from; the rest is tested.")] = 0.5,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of tasks and of what is learned from.")] = 3,
    batch: Batch = 64,
    config: ConfigOption = None,
    save_features: SaveFeatures = None,
    jobs: Jobs = 1,
    json: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Task after task, each fully labelled: what is kept, what is not learned yet, what is forgotten."""
    from stream_adapter.evaluate.command import Request, evaluate
    from stream_adapter.evaluate.incremental import IncrementalSettings

    evaluate(
        Request(file, config, save_features, methods, seeds, jobs, json, html),
        IncrementalSettings(by=by, tasks=tasks, train=train, batch=batch),
        _console(),
        Console(stderr=True),
    )


def _console() -> Console:
    """Standard output; in a file or a pipe, wide enough for every column."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)
