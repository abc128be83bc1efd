"""The commands, thin: each reads its arguments, calls one function of the package and shows the result."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from stream_adapter import __version__
from stream_adapter.cores import share_cores
from stream_adapter.demo.cli import demo, produce_samples
from stream_adapter.errors import ConfigError, StreamAdapterError, naming_extras
from stream_adapter.evaluate.cli import app as evaluate_app
from stream_adapter.operations.classes_cli import classes_app
from stream_adapter.operations.cli import AsJson, ConfigFile, anchors_app, drift_app, letters_app, load_config
from stream_adapter.operations.labels_cli import forget, labels_app
from stream_adapter.output_file import is_standard_output
from stream_adapter.standard_streams import say, writing
from stream_adapter.terminal_text import escape_controls

if TYPE_CHECKING:
    from stream_adapter.config import Config

app = typer.Typer(
    help="Keeps a frozen CLIP learning from a live stream of labelled images, without losing what it knew.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
events_app = typer.Typer(help="What the records of the images topic look like.", no_args_is_help=True)
topics_app = typer.Typer(help="The topics in Kafka.", no_args_is_help=True)
app.command()(demo)
app.command("produce-samples")(produce_samples)
app.add_typer(events_app, name="events")
app.add_typer(topics_app, name="topics")
app.add_typer(classes_app, name="classes")
app.add_typer(anchors_app, name="anchors")
app.add_typer(labels_app, name="labels")
app.command()(forget)
app.add_typer(letters_app, name="dead-letters")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(drift_app, name="drift")


def _version(wanted: bool) -> None:
    if wanted:
        say(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    import structlog

    # A command's standard output is what it was asked for; a worker sets up its own logs.
    if not structlog.is_configured():
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


@app.command()
def run(file: ConfigFile) -> None:
    """Run a worker until SIGTERM, SIGINT or the end of its input; then drain and commit."""
    share_cores()
    from stream_adapter.service.main import run_worker

    run_worker(load_config(file))


@app.command()
def serve(file: ConfigFile) -> None:
    """Answer `POST /predict` with what workers have learned, without reading images, until SIGTERM or SIGINT."""
    share_cores()
    from stream_adapter.service.serving import serve as serve_replica

    serve_replica(load_config(file))


@app.command()
def predict(
    file: ConfigFile,
    pictures: Annotated[list[Path], typer.Argument(help="Picture files, or vectors (.npy).")],
    as_json: AsJson = False,
) -> None:
    """Show what would be said about pictures now, with all that was learned. Exit status 1 where one cannot be used."""
    from stream_adapter.operations import showing
    from stream_adapter.operations.predicting import predict_files

    answers = predict_files(load_config(file), pictures)
    showing.show_answers(answers, as_json=as_json)
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


@app.command()
def validate(file: ConfigFile) -> None:
    """Check a configuration file and report every problem; starts nothing. Exit status 2 when it is not valid.

    Looks at the model's name, the classes and the files that it names, too; loads no model and asks no broker.
    """
    loaded = load_config(file)
    from stream_adapter.operations.validation import examine

    found = examine(loaded)
    if found.problems:
        raise ConfigError(found.problems, str(file))
    for line in (f"{file}: valid", *found.notes):
        say(line)


@app.command()
def produce(
    file: ConfigFile,
    input: Annotated[
        Path, typer.Argument(help="Folder CLASS/picture.jpg, .csv or .jsonl manifest, recorded topic, vectors (.npz).")
    ],
    labels: Annotated[bool, typer.Option(help="Whether a folder's name is sent as the label.")] = True,
    class_folder: Annotated[
        Literal["own", "top"],
        typer.Option(help="Which folder that is: the one that a picture lies in, or the top one below INPUT."),
    ] = "own",
    rate: Annotated[
        float | None,
        typer.Option(min=0.1, help="Events a second at most; without it as fast as the broker takes them."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many events.")] = None,
) -> None:
    """Send pictures or vectors to the images topic, with progress, rate and a count of what was refused."""
    from stream_adapter.operations.produce import produce_all

    produce_all(
        load_config(file),
        input,
        labels=labels,
        class_folder=class_folder,
        rate=rate,
        limit=limit,
        console=Console(stderr=True),
    )


@app.command()
def record(
    file: ConfigFile,
    output: Annotated[Path, typer.Argument(help="The file to write.")],
    topic: Annotated[
        Literal[
            "images", "predictions", "anchors", "classes", "dead_letters", "drift", "labels", "waiting", "to_label"
        ],
        typer.Option(help="Which topic, by role."),
    ] = "images",
) -> None:
    """Write a topic as it is now into a file, to be replayed on the file transport."""
    from stream_adapter.operations.record import record_topic

    number = record_topic(load_config(file), topic, output)
    say(f"{number} records written to {output}", err=is_standard_output(output))


@events_app.command("try")
def events_try(
    file: ConfigFile,
    input: Annotated[
        Path | None, typer.Argument(help="A recorded topic, as `record` writes it; without it the images topic.")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="Read this topic in place of the images topic.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many records, from the beginning.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show how the first records would be read; starts nothing. Exit status 1 when none of them can be used."""
    from stream_adapter.operations.trying import show_readings, try_events

    if input is not None and topic is not None:
        raise typer.BadParameter("name a file or a topic, not both")
    if not show_readings(try_events(load_config(file), input, topic, limit), as_json=as_json):
        raise typer.Exit(1)


def _with_topics(file: Path) -> "Config":
    loaded = load_config(file)
    if loaded.transport == "files":
        raise ConfigError(["transport: files has no topics to create or to check; its folders need nothing"], str(file))
    return loaded


@topics_app.command("create")
def topics_create(
    file: ConfigFile,
    partitions: Annotated[
        int, typer.Option(min=1, help="Of images and predictions: how many workers can share the work at most.")
    ] = 4,
    replication_factor: Annotated[int, typer.Option(min=-1, help="Replicas; −1 is the cluster's default.")] = -1,
) -> None:
    """Create the topics that do not exist yet; existing ones are left as they are."""
    from stream_adapter.transport.kafka import ensure_topics

    created = ensure_topics(_with_topics(file).kafka, partitions=partitions, replication_factor=replication_factor)
    say(f"created: {', '.join(created)}" if created else "all topics exist already")


@topics_app.command("check")
def topics_check(file: ConfigFile, as_json: AsJson = False) -> None:
    """Compare the topics with what the worker needs. Exit status 1 when something must be repaired."""
    from stream_adapter.operations import showing
    from stream_adapter.transport.kafka.topic_check import check_topics

    found = check_topics(_with_topics(file), str(file))
    showing.show_findings(found, as_json=as_json)
    if any(finding.severity == "error" for finding in found):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: expected errors become one message and an exit status, no traceback.

    Exit status: 0 done, 1 a `StreamAdapterError`, 2 wrong usage or configuration, 130 interrupted, 143 terminated.
    """
    # A container's first process has no default action for a signal: without a handler it would ignore SIGTERM.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with writing(), naming_extras():
            app()
    except ConfigError as error:
        _complain(error)
        sys.exit(2)
    except StreamAdapterError as error:
        _complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _complain(error: StreamAdapterError) -> None:
    said = escape(escape_controls(str(error), lines=True))
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/red] {said}")
