"""The `evaluate` commands, thin; imported with every command, so nothing heavy is imported before one runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

if TYPE_CHECKING:
    from stream_adapter.evaluate.command import Request
    from stream_adapter.evaluate.running import Settings

app = typer.Typer(
    help="Compare methods on your data: on a stream, with few shots, or class by class.", no_args_is_help=True
)

File = Annotated[
    Path, typer.Argument(help="Feature file (.npz), folder CLASS/picture.jpg, manifest or recorded topic.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(help="Configuration: encoder and vocabulary for pictures, settings of `default` and `llu`."),
]
SaveFeatures = Annotated[Path | None, typer.Option(help="Keep the embedded pictures as a feature file (.npz).")]
Methods = Annotated[str, typer.Option(help="Names with commas; zero-shot is always run.")]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that share the work.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="Write the report as one page with plots.")]
Batch = Annotated[int, typer.Option(min=1, help="Events predicted together, before any of their labels is learned.")]

_WIDE = 160

DEFAULT_CELLS = "plain,rare,ultra-rare,burst,late,look-alike,recorded,cameras"

DEFAULT_METHODS = (
    "zero-shot,llu,tip-adapter,knn,nearest-or-zero-shot,slda,ranpac,rail,anytime,kernel-ridge,lsa,stata,online-mixture,"
    "default"
)


@app.command()
def stream(
    context: typer.Context,
    file: File,
    methods: Methods = DEFAULT_METHODS,
    label_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of the events that get a label.")] = 0.3,
    canaries: Annotated[
        str, typer.Option(help="Share of the classes, drawn by seed, or names with commas: scored, never learned.")
    ] = "0.3",
    canary_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of the canaries' events that is kept.")] = 1.0,
    canary_labels: Annotated[
        int, typer.Option(min=0, help="The first so many events of each canary are learned, and not scored.")
    ] = 0,
    canaries_after: Annotated[
        float, typer.Option(min=0, max=1, help="No canary comes before this share of the stream.")
    ] = 0.0,
    look_alike: Annotated[
        bool, typer.Option("--look-alike", help="A share of canaries: those that look most like a class with labels.")
    ] = False,
    events: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Length of the stream, by domain an equal part of each (2500); with cameras, varied pictures (900).",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of canaries, order and labels.")] = 3,
    delay: Annotated[int, typer.Option(min=0, help="Events that pass before a label is learned.")] = 0,
    label_noise: Annotated[float, typer.Option(min=0, max=1, help="Share of the labels that are wrong.")] = 0.0,
    select: Annotated[
        Literal["random", "least-confident", "most-confident", "next"],
        typer.Option(help="Which events get labels: by zero-shot's confidence, or what tells the method most."),
    ] = "random",
    order: Annotated[
        Literal["shuffled", "by-domain", "recorded", "cameras"],
        typer.Option(help="All shuffled; domain after domain; as in the file; or near-copies between varied pictures."),
    ] = "shuffled",
    sources: Annotated[int, typer.Option(min=1, help="Pictures of a class that serve as cameras.")] = 1,
    copies: Annotated[int, typer.Option(min=1, help="Near-copies of each of them, all labelled.")] = 1000,
    spread: Annotated[float, typer.Option(min=0, max=1, help="Cosine of a copy with its picture.")] = 0.998,
    camera_classes: Annotated[
        str, typer.Option(metavar="all|N", help="How many classes have cameras, drawn by seed.")
    ] = "1",
    copies_wrong: Annotated[
        bool, typer.Option("--copies-wrong", help="The copies' labels name another class, and are deleted in the end.")
    ] = False,
    batch: Batch = 64,
    config: ConfigOption = None,
    save_features: SaveFeatures = None,
    jobs: Jobs = 1,
    json: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Prequential: predict, then learn; classes that are never taught are scored beside those that are."""
    from stream_adapter.evaluate.command import Request, share_or_names
    from stream_adapter.evaluate.stream_options import camera_classes as classes_with_cameras
    from stream_adapter.evaluate.stream_options import stream_settings

    values = context.params | {
        "canaries": share_or_names(canaries),
        "camera_classes": classes_with_cameras(camera_classes),
    }
    # What was not given has the order's own default.
    said = {name: context.get_parameter_source(name) for name in values}
    given = [name for name, of in said.items() if of is not None and of.name not in {"DEFAULT", "DEFAULT_MAP"}]
    _evaluate(
        Request(file, config, save_features, methods, seeds, jobs, json, html),
        stream_settings(order, given, values),
    )


@app.command("no-harm")
def no_harm(
    file: File,
    methods: Methods = DEFAULT_METHODS,
    cells: Annotated[str, typer.Option(help="Streams with commas, see docs/evaluation.md.")] = DEFAULT_CELLS,
    protections: Annotated[
        str, typer.Option(help="Values of adapter.protection with commas, beside the configured one.")
    ] = "0,0.1,0.2,0.4,0.8",
    seeds: Annotated[int, typer.Option(min=1, help="Draws of canaries, order and labels.")] = 3,
    config: ConfigOption = None,
    save_features: SaveFeatures = None,
    jobs: Jobs = 1,
    json: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Does it harm whom nobody labels: rare, late and look-alike classes, along the protection of every method."""
    from stream_adapter.evaluate.command import Request, evaluate_no_harm, numbers

    evaluate_no_harm(
        Request(file, config, save_features, methods, seeds, jobs, json, html),
        cells,
        numbers(protections, "--protections"),
        *_consoles(),
    )


@app.command()
def unknown(
    file: File,
    taken_out: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the classes that the vocabulary loses.")
    ] = 0.3,
    label_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of the events that get a label.")] = 0.3,
    canaries: Annotated[float, typer.Option(min=0, max=1, help="Share of the other classes that nobody labels.")] = 0.3,
    events: Annotated[int, typer.Option(min=1, help="Length of the stream.")] = 2_500,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of classes, order and labels.")] = 3,
    config: ConfigOption = None,
    save_features: SaveFeatures = None,
    json: JsonFile = None,
) -> None:
    """Are events of no class told: classes are taken out of the vocabulary, their events are not."""
    from stream_adapter.evaluate.command import Request, evaluate_unknown
    from stream_adapter.evaluate.stream import StreamSettings

    evaluate_unknown(
        Request(file, config, save_features, "default", seeds, 1, json, None),
        taken_out,
        StreamSettings(label_rate=label_rate, canaries=canaries, events=events),
        *_consoles(),
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
    from stream_adapter.evaluate.command import Request, whole_numbers
    from stream_adapter.evaluate.few_shot import FewShotSettings

    _evaluate(
        Request(file, config, save_features, methods, seeds, jobs, json, html),
        FewShotSettings(shots=whole_numbers(shots, "--shots"), seen=seen, batch=batch),
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
    from stream_adapter.evaluate.command import Request
    from stream_adapter.evaluate.incremental import IncrementalSettings

    _evaluate(
        Request(file, config, save_features, methods, seeds, jobs, json, html),
        IncrementalSettings(by=by, tasks=tasks, train=train, batch=batch),
    )


def _evaluate(request: "Request", settings: "Settings") -> None:
    """Evaluate, with the table on standard output; in a file or a pipe that is wide enough for every column."""
    from stream_adapter.evaluate.command import evaluate

    evaluate(request, settings, *_consoles())


def _consoles() -> tuple[Console, Console]:
    console = Console(emoji=False)
    return console if console.is_terminal else Console(emoji=False, width=_WIDE), Console(stderr=True)
