"""The commands on labels that come apart from their events, and the one that forgets events, thin."""

from pathlib import Path
from typing import Annotated

import typer

from stream_adapter.operations.cli import AsJson, ConfigFile, load_config
from stream_adapter.standard_streams import say

labels_app = typer.Typer(help="Labels that come apart from their events.", no_args_is_help=True)

Annotator = Annotated[str | None, typer.Option(help="Who says so.", show_default=False)]


@labels_app.command("send")
def labels_send(
    file: ConfigFile,
    source: Annotated[str, typer.Argument(help="The image event's `ce_source`.")],
    id: Annotated[str, typer.Argument(help="The image event's `ce_id`.")],
    label: Annotated[str | None, typer.Argument(help="The class name.", show_default=False)] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the event's label back.")] = False,
    annotator: Annotator = None,
    time: Annotated[str | None, typer.Option(help="When it was said (ISO 8601); by default now.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="Where the picture is stored, for an event that is gone.", show_default=False)
    ] = None,
) -> None:
    """Send one label, a correction or a withdrawal."""
    from stream_adapter.events.headers import parse_time
    from stream_adapter.events.label import LabelEvent
    from stream_adapter.operations.labels import send_labels, sender

    if withdraw == (label is not None):
        raise typer.BadParameter("give either a label or --withdraw")
    time_ms = None if time is None else parse_time(time, "`--time`")
    said = LabelEvent.new(source, id, label, time_ms=time_ms, annotator=annotator, sender=sender(), reference=reference)
    send_labels(load_config(file), [said])
    say("sent")


@labels_app.command("import")
def labels_import(
    file: ConfigFile,
    input: Annotated[
        Path, typer.Argument(help="CSV or JSON lines with id, label, source, annotator, time, reference.")
    ],
    source: Annotated[str | None, typer.Option(help="`ce_source` of the events of rows that name none.")] = None,
    annotator: Annotator = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the labels of these events back.")] = False,
) -> None:
    """Send the labels in a file; nothing is sent where a line is wrong."""
    from stream_adapter.operations.labels import read_labels, send_labels

    labels = read_labels(input, source=source, annotator=annotator, withdraw=withdraw)
    say(f"sent {send_labels(load_config(file), labels)} labels")


@labels_app.command("show")
def labels_show(
    file: ConfigFile,
    source: Annotated[str, typer.Argument(help="The image event's `ce_source`.")],
    id: Annotated[str, typer.Argument(help="The image event's `ce_id`.")],
    as_json: AsJson = False,
) -> None:
    """Show what became of the labels of an event."""
    from stream_adapter.operations import labels, showing

    event, fates = labels.fates_of(load_config(file), source, id)
    showing.show_fates(event, fates, as_json=as_json)


@labels_app.command("next")
def labels_next(
    file: ConfigFile,
    limit: Annotated[int, typer.Option(min=1, help="So many events.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show which of the events that wait for a label should get one next."""
    from stream_adapter.operations import labels, showing

    showing.show_waiting(labels.what_next(load_config(file), limit), as_json=as_json)


def forget(
    file: ConfigFile,
    event: Annotated[list[str] | None, typer.Option(help="An image event's `ce_id`; may be given again.")] = None,
    label: Annotated[str | None, typer.Option(help="Events labelled as this class.")] = None,
    annotator: Annotated[str | None, typer.Option(help="Events whose newest label is theirs.")] = None,
    source: Annotated[str | None, typer.Option(help="Events of this `ce_source`.")] = None,
    since: Annotated[str | None, typer.Option(help="Labelled then or later (ISO 8601).")] = None,
    until: Annotated[str | None, typer.Option(help="Labelled before (ISO 8601).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this it is only shown.")] = False,
) -> None:
    """Forget events for which all of this holds: anchors, waiting events and labels, in every worker and topic."""
    from stream_adapter.events.headers import parse_time
    from stream_adapter.operations import forget as forgetting
    from stream_adapter.operations import showing

    criteria = forgetting.Criteria(
        frozenset(event or ()),
        label,
        annotator,
        source,
        None if since is None else parse_time(since, "`--since`"),
        None if until is None else parse_time(until, "`--until`"),
    )
    if criteria == forgetting.Criteria():
        raise typer.BadParameter("say which: --event, --label, --annotator, --source, --since or --until")
    loaded = load_config(file)
    plan = forgetting.plan_forgetting(loaded, criteria)
    showing.show_anchors(plan.anchors, limit=20, as_json=False)
    what = (
        f"{len(plan.events)} events: {len(plan.anchors)} anchors, {plan.labels} labels, {plan.waiting} waiting events"
    )
    if not yes:
        say(f"would forget {what}; --yes does it")
        return
    if plan.events:
        forgetting.carry_out(loaded, plan)
    say(f"forgot {what}")
