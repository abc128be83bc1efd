"""The commands on what workers leave behind, thin: anchors, dead letters, drift events."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_adapter.errors import STAGES
from stream_adapter.output_file import is_standard_output
from stream_adapter.standard_streams import confirm, say

if TYPE_CHECKING:
    from stream_adapter.config import Config

anchors_app = typer.Typer(help="Look at what was learned, and delete from it.", no_args_is_help=True)
letters_app = typer.Typer(help="Events that could not be used.", no_args_is_help=True)
drift_app = typer.Typer(help="What the monitors found, and what the guard did.", no_args_is_help=True)

ConfigFile = Annotated[Path, typer.Argument(help="Configuration file; see configs/default.yaml.", show_default=False)]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most so many, the newest: 50 in a table, all as JSON.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")]


def load_config(file: Path) -> "Config":
    """Read a configuration; what reads it is loaded when a command runs, so that `--help` need not wait for it."""
    from stream_adapter import config

    return config.load(file)


def _known_stage(stage: str | None) -> str | None:
    if stage is not None and stage not in STAGES:
        raise typer.BadParameter(f"{stage!r} is no stage; known: {', '.join(STAGES)}")
    return stage


@anchors_app.command("list")
def anchors_list(
    file: ConfigFile,
    label: Annotated[str | None, typer.Option(help="Only this class.")] = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Show what was learned, newest last."""
    from stream_adapter.operations import anchors, showing

    found = list(anchors.read_anchors(load_config(file), label).values())
    showing.show_anchors(found, limit, as_json=as_json)


@anchors_app.command("show")
def anchors_show(
    file: ConfigFile,
    id: Annotated[str, typer.Argument(help="The anchor's id, or its beginning.")],
    as_json: AsJson = False,
) -> None:
    """Show one anchor with everything that is known about it."""
    from stream_adapter.operations import anchors, showing

    showing.show_anchor(anchors.find_anchor(load_config(file), id), as_json=as_json)


@anchors_app.command("suspicious")
def anchors_suspicious(file: ConfigFile, limit: Limit = None, as_json: AsJson = False) -> None:
    """Show labels that other anchors contradict, and anchors that did harm to later labelled events, by annotator."""
    from stream_adapter.operations import showing
    from stream_adapter.operations.suspicious import suspects

    showing.show_suspects(suspects(load_config(file)), limit, as_json=as_json)


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
    loaded = load_config(file)
    doomed = anchors.choose_anchors(loaded, ids or [], label)
    showing.show_anchors(doomed, limit=20, as_json=False)
    if doomed and not yes:
        confirm(f"Delete {len(doomed)} anchors?")
    anchors.delete_anchors(loaded, doomed)
    say(f"deleted {len(doomed)} anchors")


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

    showing.show_export(anchor_files.export_anchors(load_config(file), output, at), output)


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

    loaded = load_config(file)
    plan = anchor_files.plan_import(loaded, input, replace=replace)
    say(f"{plan.new} new, {plan.changed} changed, {plan.unchanged} unchanged, {plan.deleted} to delete")
    if dry_run or not plan.records:
        return
    if plan.changed + plan.deleted and not yes:
        confirm(f"Change {plan.changed} and delete {plan.deleted} anchors?")
    with showing.progress("writing", len(plan.records)) as progress:
        anchor_files.write_import(loaded, plan, progress)
    say(f"{len(plan.records)} records written")


@anchors_app.command("reembed")
def anchors_reembed(
    file: ConfigFile,
    new: Annotated[Path, typer.Argument(help="Configuration with the new encoder and an anchors topic of its own.")],
    images: Annotated[
        Path | None, typer.Option(help="A recorded images topic; without it the topic as it is.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the anchors of a new encoder from the pictures that taught; the old worker serves on.

    Exit status 1 when there are anchors, and none could be embedded.
    """
    from stream_adapter.operations import reembedding, showing

    with showing.progress("embedding") as progress:
        result = reembedding.reembed(load_config(file), load_config(new), images, progress)
    showing.show_lost(result.lost, as_json=as_json)
    counts = f"{result.written} written, {result.there} there already, {len(result.lost)} could not be embedded"
    say(counts, err=as_json)
    if result.lost and not result.written + result.there:
        raise typer.Exit(1)


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

    letters = [letter for letter in dead_letters.read_letters(load_config(file)) if stage in (None, letter.stage)]
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

    counts = dead_letters.replay(load_config(file), stage=stage)
    say(f"sent {counts['sent']}, passed over {counts['passed over']}, unusable {counts['unusable']}")


@drift_app.command("report")
def drift_report(
    file: ConfigFile,
    output: Annotated[Path, typer.Option(help="The page to write.")] = Path("drift.html"),
    hours: Annotated[float, typer.Option(min=0.01, help="How far back from the newest event.")] = 24.0,
) -> None:
    """Write a page with plots: alarms, what the guard did, harm, accuracy, novelty, new classes and the evidence."""
    from stream_adapter.operations.drift_report import write_drift_report

    number = write_drift_report(load_config(file), output, hours=hours)
    say(f"{number} events, written to {output}", err=is_standard_output(output))
