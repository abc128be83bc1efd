"""The commands, thin: each reads its arguments, calls one function of the package and shows the result."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import structlog
import typer
from rich.console import Console
from rich.markup import escape

from stream_adapter import __version__, config
from stream_adapter.demo.cli import demo, produce_samples
from stream_adapter.errors import STAGES, ConfigError, StreamAdapterError
from stream_adapter.evaluate.cli import app as evaluate_app
from stream_adapter.output_file import is_standard_output

app = typer.Typer(
    help="Keeps a frozen CLIP learning from a live stream of labelled images, without losing what it knew.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
classes_app = typer.Typer(help="Class names and their text vectors.", no_args_is_help=True)
anchors_app = typer.Typer(help="Look at what was learned, and delete from it.", no_args_is_help=True)
letters_app = typer.Typer(help="Events that could not be used.", no_args_is_help=True)
drift_app = typer.Typer(help="What the monitors found, and what the guard did.", no_args_is_help=True)
topics_app = typer.Typer(help="The topics in Kafka.", no_args_is_help=True)
app.command()(demo)
app.command("produce-samples")(produce_samples)
app.add_typer(topics_app, name="topics")
app.add_typer(classes_app, name="classes")
app.add_typer(anchors_app, name="anchors")
app.add_typer(letters_app, name="dead-letters")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(drift_app, name="drift")

ConfigFile = Annotated[Path, typer.Argument(help="Configuration file; see configs/default.yaml.", show_default=False)]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most so many, the newest: 50 in a table, all as JSON.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")]


def _known_stage(stage: str | None) -> str | None:
    if stage is not None and stage not in STAGES:
        raise typer.BadParameter(f"{stage!r} is no stage; known: {', '.join(STAGES)}")
    return stage


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    # A command's standard output is what it was asked for; a worker sets up its own logs.
    if not structlog.is_configured():
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


@app.command()
def run(file: ConfigFile) -> None:
    """Run a worker until SIGTERM, SIGINT or the end of its input; then drain and commit."""
    from stream_adapter.service.main import run_worker

    run_worker(config.load(file))


@app.command()
def validate(file: ConfigFile) -> None:
    """Check a configuration file and report every problem; starts nothing. Exit status 2 when it is not valid.

    Looks at the model's name, the classes and the files that it names, too; loads no model and asks no broker.
    """
    loaded = config.load(file)
    from stream_adapter.operations.validation import examine

    found = examine(loaded)
    if found.problems:
        raise ConfigError(found.problems, str(file))
    typer.echo("\n".join([f"{file}: valid", *found.notes]))


@app.command()
def produce(
    file: ConfigFile,
    input: Annotated[Path, typer.Argument(help="Folder CLASS/picture.jpg, .csv or .jsonl manifest, recorded topic.")],
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
    """Send pictures to the images topic, with progress, rate and a count of what was refused."""
    from stream_adapter.operations.produce import produce_all

    produce_all(
        config.load(file),
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
        Literal["images", "predictions", "anchors", "dead_letters", "drift"], typer.Option(help="Which topic, by role.")
    ] = "images",
) -> None:
    """Write a topic as it is now into a file, to be replayed on the file transport."""
    from stream_adapter.operations.record import record_topic

    number = record_topic(config.load(file), topic, output)
    typer.echo(f"{number} records written to {output}", err=is_standard_output(output))


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

    created = ensure_topics(config.load(file).kafka, partitions=partitions, replication_factor=replication_factor)
    typer.echo(f"created: {', '.join(created)}" if created else "all topics exist already")


@topics_app.command("check")
def topics_check(file: ConfigFile, as_json: AsJson = False) -> None:
    """Compare the topics with what the worker needs. Exit status 1 when something must be repaired."""
    from stream_adapter.operations import showing
    from stream_adapter.transport.kafka.topic_check import check_topics

    found = check_topics(config.load(file), str(file))
    showing.show_findings(found, as_json=as_json)
    if any(finding.severity == "error" for finding in found):
        raise typer.Exit(1)


@classes_app.command("build")
def classes_build(
    file: ConfigFile,
    output: Annotated[Path, typer.Option(help="The .npz file to write.")] = Path("classes.npz"),
) -> None:
    """Embed the vocabulary's prompts once, into a file for `vocabulary.vectors`."""
    from stream_adapter.encode.loading import load_models
    from stream_adapter.encode.vocabulary_file import save_vocabulary

    loaded = config.load(file)
    encoder, vocabulary = load_models(loaded.encoder, loaded.vocabulary)
    save_vocabulary(output, vocabulary, fingerprint=encoder.fingerprint)
    written = f"{len(vocabulary.class_names)} classes, {vocabulary.d} dimensions, written to {output}"
    typer.echo(written, err=is_standard_output(output))


@anchors_app.command("list")
def anchors_list(
    file: ConfigFile,
    label: Annotated[str | None, typer.Option(help="Only this class.")] = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Show what was learned, newest last."""
    from stream_adapter.operations import anchors, showing

    found = list(anchors.read_anchors(config.load(file), label).values())
    showing.show_anchors(found, limit, as_json=as_json)


@anchors_app.command("show")
def anchors_show(
    file: ConfigFile,
    id: Annotated[str, typer.Argument(help="The anchor's id, or its beginning.")],
    as_json: AsJson = False,
) -> None:
    """Show one anchor with everything that is known about it."""
    from stream_adapter.operations import anchors, showing

    showing.show_anchor(anchors.find_anchor(config.load(file), id), as_json=as_json)


@anchors_app.command("delete")
def anchors_delete(
    file: ConfigFile,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids, or their beginnings.")] = None,
    label: Annotated[str | None, typer.Option(help="All anchors of this class.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete anchors; running workers drop them and refit within about a second."""
    from stream_adapter.operations import anchors, showing

    if not ids and label is None:
        raise typer.BadParameter("name ids, or a class with --label")
    loaded = config.load(file)
    doomed = anchors.choose_anchors(loaded, ids or [], label)
    showing.show_anchors(doomed, limit=20, as_json=False)
    if doomed and not yes:
        typer.confirm(f"Delete {len(doomed)} anchors?", abort=True)
    anchors.delete_anchors(loaded, doomed)
    typer.echo(f"deleted {len(doomed)} anchors")


@anchors_app.command("export")
def anchors_export(
    file: ConfigFile,
    output: Annotated[Path, typer.Argument(help="The file to write.")],
    at: Annotated[
        str | None,
        typer.Option(help="As they were before this offset (1234, or 0:1234,1:99), or at this time (ISO 8601)."),
    ] = None,
) -> None:
    """Write the anchors, as they are or as they were, into one checksummed file."""
    from stream_adapter.operations import anchor_files, showing

    showing.show_export(anchor_files.export_anchors(config.load(file), output, at), output)


@anchors_app.command("import")
def anchors_import(
    file: ConfigFile,
    input: Annotated[Path, typer.Argument(help="A file that `anchors export` wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Delete anchors that are not in the file.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Make the anchors what they are in a file; running workers follow within about a second."""
    from stream_adapter.operations import anchor_files, showing

    loaded = config.load(file)
    plan = anchor_files.plan_import(loaded, input, replace=replace)
    typer.echo(f"{plan.new} new, {plan.changed} changed, {plan.unchanged} unchanged, {plan.deleted} to delete")
    if dry_run or not plan.records:
        return
    if plan.changed + plan.deleted and not yes:
        typer.confirm(f"Change {plan.changed} and delete {plan.deleted} anchors?", abort=True)
    with showing.progress("writing", len(plan.records)) as progress:
        anchor_files.write_import(loaded, plan, progress)
    typer.echo(f"{len(plan.records)} records written")


@letters_app.command("list")
def dead_letters_list(
    file: ConfigFile,
    stage: Annotated[
        str | None, typer.Option(callback=_known_stage, help=f"Only those refused at: {', '.join(STAGES)}.")
    ] = None,
    ids: Annotated[bool, typer.Option("--ids", help="Every letter with origin and key, not their reasons.")] = False,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Show why events could not be used, and how many; with --ids or --json, which ones."""
    from stream_adapter.operations import dead_letters, showing

    letters = [letter for letter in dead_letters.read_letters(config.load(file)) if stage in (None, letter.stage)]
    if as_json or ids:
        showing.show_letters(letters, limit, as_json=as_json)
    else:
        showing.show_reasons(letters, limit)


@letters_app.command("replay")
def dead_letters_replay(
    file: ConfigFile,
    stage: Annotated[
        str | None,
        typer.Option(
            callback=_known_stage, help="Only this stage, and then all of it, also what was sent back before."
        ),
    ] = None,
) -> None:
    """Send the originals back to the topic that they came from."""
    from stream_adapter.operations import dead_letters

    counts = dead_letters.replay(config.load(file), stage=stage)
    typer.echo(f"sent {counts['sent']}, passed over {counts['passed over']}, unusable {counts['unusable']}")


@drift_app.command("report")
def drift_report(
    file: ConfigFile,
    output: Annotated[Path, typer.Option(help="The page to write.")] = Path("drift.html"),
    hours: Annotated[float, typer.Option(min=0.01, help="How far back from the newest event.")] = 24.0,
) -> None:
    """Write a page with plots: alarms, what the guard did, harm, accuracy, novelty, new classes and the evidence."""
    from stream_adapter.operations.drift_report import write_drift_report

    number = write_drift_report(config.load(file), output, hours=hours)
    typer.echo(f"{number} events, written to {output}", err=is_standard_output(output))


def main() -> None:
    """Entry point: expected errors become one message and an exit status, no traceback.

    Exit status: 0 done, 1 a `StreamAdapterError`, 2 wrong usage or configuration, 130 interrupted, 143 terminated.
    """
    # A container's first process has no default action for a signal: without a handler it would ignore SIGTERM.
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app()
    except ConfigError as error:
        _complain(error)
        sys.exit(2)
    except StreamAdapterError as error:
        _complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _terminated(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _complain(error: StreamAdapterError) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/red] {escape(str(error))}")
