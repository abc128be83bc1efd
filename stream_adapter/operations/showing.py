"""What commands found, on a terminal: tables for people, JSON lines for programs."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stream_adapter.errors import UnknownLabel
from stream_adapter.events import AnchorRecord
from stream_adapter.events.headers import format_time
from stream_adapter.events.waiting import WaitingEvent
from stream_adapter.operations.classes import ClassLine
from stream_adapter.operations.dead_letters import Letter
from stream_adapter.operations.history import PastState
from stream_adapter.operations.labels import Fate
from stream_adapter.operations.suspicious import Suspects
from stream_adapter.output_file import is_standard_output
from stream_adapter.standard_streams import say, say_json
from stream_adapter.terminal_text import escape_controls
from stream_adapter.transport.kafka.topic_check import Finding

_Record = TypeVar("_Record")
_ROWS = 50  # of a table, where nobody asked for a number
_WIDE = 240  # letters in a line of a file or a pipe, where an id is to be found in one piece
_PARTICULARS = re.compile(r"b?'[^']*'|b?\"[^\"]*\"|\S*/\S*|[-+]?\d[\d.,]*")


def show_anchors(anchors: Sequence[AnchorRecord], limit: int | None, *, as_json: bool) -> None:
    """The newest `limit` anchors, newest last; without a limit all as JSON, and as many as a table holds."""
    newest = _newest(anchors, limit, as_json)
    if as_json:
        _print_lines([_anchor_fields(anchor) for anchor in newest])
        return
    rows = [
        (
            anchor.anchor_id,
            anchor.label,
            anchor.annotator,
            format_time(anchor.event_time_ms),
            f"{anchor.event_source} {anchor.event_id}",
        )
        for anchor in newest
    ]
    _print_table(("id", "label", "annotator", "event time", "event"), rows, total=len(anchors), noun="anchors")


def show_anchor(anchor: AnchorRecord, *, as_json: bool) -> None:
    """Everything about one anchor."""
    fields = _anchor_fields(anchor)
    if as_json:
        _print_lines([{**fields, "vector": [round(float(value), 6) for value in anchor.vector]}])
        return
    table = Table(show_header=False, box=None)
    for name, value in {**fields, "dimensions": len(anchor.vector)}.items():
        table.add_row(name, "" if value is None else escape_controls(str(value)))
    Console(markup=False, emoji=False).print(table)


def show_suspects(found: Suspects, limit: int | None, *, as_json: bool) -> None:
    """The worst `limit` anchors, and what each annotator's come to; as JSON the anchors alone."""
    worst = found.anchors[: limit or (len(found.anchors) if as_json else _ROWS)]
    if as_json:
        names = ("others_say", "contradicted", "harmed", "helped")
        _print_lines([{**_anchor_fields(one.anchor), **{n: getattr(one, n) for n in names}} for one in worst])
        return
    rows = [
        (
            one.anchor.anchor_id,
            one.anchor.label,
            one.others_say,
            f"{one.contradicted:.2f}",
            str(one.harmed),
            str(one.helped),
            one.anchor.annotator,
            one.anchor.event_id,
        )
        for one in worst
    ]
    columns = ("id", "label", "others say", "contradicted", "harmed", "helped", "annotator", "event")
    _print_table(columns, rows, total=len(found.anchors), noun="suspicious anchors")
    totals = [
        (one.name or "–", *map(str, (one.anchors, one.contradicted, one.harmed, one.helped)))
        for one in found.annotators
    ]
    _print_table(
        ("annotator", "anchors", "contradicted", "harmed", "helped"), totals, total=len(totals), noun="annotators"
    )


def show_classes(lines: Sequence[ClassLine], *, as_json: bool) -> None:
    """What the names are."""
    if as_json:
        _print_lines([asdict(line) for line in lines])
        return
    rows = [
        (
            line.name,
            f"{line.state} of {line.alias_of}" if line.alias_of is not None else line.state,
            "canary" if line.canary else "",
            line.text,
            line.by,
        )
        for line in lines
    ]
    _print_table(("name", "what it is", "", "text vector", "said by"), rows, total=len(rows), noun="names")


def show_answers(answers: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """What is said about pictures: the answer, the untouched model's, and the nearest labelled picture."""
    if as_json:
        _print_lines(answers)
        return
    rows = []
    for answer in answers:
        if "error" in answer:
            rows.append((answer["file"], answer["error"], "", "", "", ""))
            continue
        top, nearest = answer["top"][0], next(iter(answer["anchors"]), None)
        near = f"{nearest['label']} (cosine {nearest['cosine']:.2f})" if nearest else "–"
        shares = (
            f"{top['adapted']:.1%}",
            answer["zero_shot_label"],
            near,
            {True: "yes", False: "no", None: "too few labels"}[answer["unknown"]],
        )
        rows.append((answer["file"], top["label"], *shares))
    columns = ("picture", "class", "probability", "zero-shot says", "nearest label", "unknown?")
    _print_table(columns, rows, total=len(rows), noun="pictures")


def show_fates(event: WaitingEvent | None, fates: Sequence[Fate], *, as_json: bool) -> None:
    """What became of the labels of an event; for people also what is kept of it."""
    columns = ("label", "annotator", "time", "state", "details", "sent_by")
    rows = [
        (one.label.label, one.label.annotator, format_time(one.label.time_ms), one.state, one.details, one.label.source)
        for one in fates
    ]
    if as_json:
        _print_lines([dict(zip(columns, row, strict=True)) for row in rows])
        return
    if event is not None:
        said = f"{event.adapted[0]!r} ({event.adapted[1]:.3f}), zero-shot {event.zero_shot[0]!r}"
        say(f"the event is kept, from {_place(event)}; predicted was {said}")
    _print_table(columns, [[cell or "" for cell in row] for row in rows], total=len(rows), noun="labels")


def show_waiting(events: Sequence[WaitingEvent], *, as_json: bool) -> None:
    """Events that wait for a label, as they come."""
    documents = [
        {
            "source": event.source,
            "id": event.id,
            "event_time": format_time(event.time_ms),  # of lines that come back with a label, `time` is the label's
            "predicted": event.adapted[0],
            "probability": round(event.adapted[1], 4),
            "zero_shot": event.zero_shot[0],
            "at": _place(event),
        }
        for event in events
    ]
    if as_json:
        _print_lines(
            [one | {"reference": event.reference or None} for one, event in zip(documents, events, strict=True)]
        )
        return
    columns = ("source", "id", "time", "predicted", "probability", "zero-shot says", "place")
    rows = [[str(cell) for cell in document.values()] for document in documents]
    _print_table(columns, rows, total=len(rows), noun="events to label")


def show_export(state: PastState, output: Path) -> None:
    """What was exported, and whether it is sure to be all that there was."""
    labels = len({anchor.label for anchor in state.anchors.values()})
    until = ", ".join(f"{number}:{offset}" for number, offset in sorted(state.offsets.items()))
    exported = f"{len(state.anchors)} anchors of {labels} classes, {state.topic} up to {until}"
    say(f"{exported}, written to {output}", err=is_standard_output(output))
    if not state.whole:
        say(
            f"warning: {state.topic} was compacted since: anchors that counted then and were changed or deleted "
            "afterwards may be missing. Nothing is compacted for `min.compaction.lag.ms`, see `topics check`",
            err=True,
        )


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar on the error output; what is yielded is told how much is done, and of how much where that was not known."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, of=None: bar.update(task, completed=done, total=of)


def show_lost(lost: Sequence[tuple[AnchorRecord, str]], *, as_json: bool) -> None:
    """Anchors that could not be embedded anew: as JSON all, as a table the reasons."""
    if as_json:
        _print_lines([{**_anchor_fields(anchor), "reason": reason} for anchor, reason in lost])
        return
    kinds = Counter(_PARTICULARS.sub("…", reason) for _, reason in lost)
    rows = [(str(number), kind) for kind, number in kinds.most_common(_ROWS)]
    _print_table(("anchors", "why it could not be embedded"), rows, total=len(kinds), noun="reasons")


def show_letters(letters: Sequence[Letter], limit: int | None, *, as_json: bool) -> None:
    """The newest `limit` dead letters, newest last; without a limit all as JSON, and as many as a table holds."""
    newest = _newest(letters, limit, as_json)
    if as_json:
        names = ("origin", "stage", "reason", "key", "bytes")
        _print_lines([{name: getattr(letter, name) for name in names} for letter in newest])
        return
    rows = [(letter.origin, letter.stage, letter.key, str(letter.bytes), letter.reason) for letter in newest]
    _print_table(("origin", "stage", "key", "bytes", "reason"), rows, total=len(letters), noun="dead letters")


def show_reasons(letters: Sequence[Letter], limit: int | None) -> None:
    """Why the newest `limit` letters are there: of each kind how many, and the newest; the most frequent first."""
    newest = letters[-limit:] if limit else letters
    kinds: dict[tuple[str, str], list[Letter]] = {}
    for letter in newest:
        kinds.setdefault((letter.stage, _kind(letter)), []).append(letter)
    groups = sorted(kinds.values(), key=len, reverse=True)
    rows = [(str(len(group)), group[0].stage, group[-1].reason, group[-1].origin) for group in groups]
    table = Table()
    for column in ("letters", "stage", "reason of the newest", "newest"):
        table.add_column(column, overflow="fold", justify="right" if column == "letters" else "left")
    for row in rows[:_ROWS]:
        table.add_row(*(escape(escape_controls(cell)) for cell in row))
    console = Console(markup=True, emoji=False)
    if rows:
        console.print(table)
    shown = "" if len(newest) == len(letters) else f", the newest {len(newest)} counted"
    hidden = f", the {_ROWS} most frequent shown" if len(rows) > _ROWS else ""
    which = "; which ones: --ids or --json" if rows else ""
    console.print(f"{len(letters)} dead letters{shown}, {len(rows)} reasons{hidden}{which}", highlight=False)


def show_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    """What is wrong with the topics, the worst first."""
    worst_first = sorted(findings, key=lambda finding: finding.severity != "error")
    if as_json:
        _print_lines([asdict(finding) for finding in worst_first])
        return
    for finding in worst_first:
        what = f"{finding.severity}: topic {finding.topic}: {finding.what} is {finding.found}: {finding.why}"
        say(what, lines=True)
        if finding.repair:
            say(f"    {finding.repair}")
    errors = sum(finding.severity == "error" for finding in findings)
    say(f"{errors} errors, {len(findings) - errors} warnings")


def _kind(letter: Letter) -> str:
    """The reason without what differs from event to event; a label that is no class is what people look for."""
    return letter.reason if letter.stage == UnknownLabel.stage else _PARTICULARS.sub("…", letter.reason)


def _newest(records: Sequence[_Record], limit: int | None, as_json: bool) -> Sequence[_Record]:
    if limit is None:
        limit = len(records) if as_json else _ROWS
    return records[-limit:] if limit else records


def _anchor_fields(anchor: AnchorRecord) -> dict[str, Any]:
    return {
        "id": anchor.anchor_id,
        "label": anchor.label,
        "annotator": anchor.annotator or None,
        "event_time": format_time(anchor.event_time_ms),
        "event_source": anchor.event_source,
        "event_id": anchor.event_id,
        "origin": _place(anchor),
        "fingerprint": anchor.fingerprint,
        "reference": anchor.reference or None,
    }


def _place(record: AnchorRecord | WaitingEvent) -> str:
    return f"{record.topic}-{record.partition}@{record.offset}"


def _print_lines(documents: Sequence[dict[str, Any]]) -> None:
    for document in documents:
        say_json(document)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, total: int, noun: str) -> None:
    """The newest rows of so many, and how many there are."""
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(escape_controls, row))
    console = Console(markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(markup=False, emoji=False, width=_WIDE)
    if rows:
        console.print(table)
    shown = "" if len(rows) == total else f", the newest {len(rows)} shown"
    console.print(f"{total} {noun}{shown}")
