"""`stream-adapter forget`: shows first, removes then."""

from typing import Annotated

import typer

from stream_adapter.operations.cli import ConfigFile, load_config


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
        typer.echo(f"would forget {what}; --yes does it")
        return
    if plan.events:
        forgetting.carry_out(loaded, plan)
    typer.echo(f"forgot {what}")
