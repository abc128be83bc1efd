"""Tables of the page, and its legend."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from stream_adapter.evaluate.results import ALL, REFERENCE, Row
from stream_adapter.evaluate.running import Evaluation


def style_of(method: str, methods: Sequence[str], focus: str | None = None) -> str:
    """A method's CSS classes: the reference is grey, and dashed beside a method in focus, which is strong."""
    if method == REFERENCE:
        return "c0" if focus is None else "c0 reference"
    others = [name for name in methods if name != REFERENCE]
    return f"c{1 + others.index(method) % 14}" + (" strong" if method == focus else "")


def legend(methods: Sequence[str]) -> str:
    """Colours and names."""
    items = "".join(f'<li><i class="{style_of(name, methods)}"></i>{escape(name)}</li>' for name in methods)
    return f'<ul class="legend" aria-label="Colours of the methods">{items}</ul>'


def table(caption: str, header: Sequence[str], lines: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """A table of HTML cells; the first `text_columns` are aligned to the left."""
    head = "".join(f"<th{_kind(index, text_columns)}>{cell}</th>" for index, cell in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f"<td{_kind(index, text_columns)}>{cell}</td>" for index, cell in enumerate(line)) + "</tr>"
        for line in lines
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def figures_table(evaluation: Evaluation, found: Sequence[Row]) -> str:
    """Accuracy with interval and calibration: one table for all domains and each, and for each number of shots."""
    parts = []
    for shots in sorted({row.shots for row in found}, key=lambda value: value or 0):
        for domain in dict.fromkeys(row.domain for row in found):
            chosen = {(row.method, row.group): row for row in found if row.shots == shots and row.domain == domain}
            where = "all domains" if domain == ALL else domain
            which = "" if shots is None else f", {shots} per class"
            for groups in evaluation.settings.tables:
                held = [group for group in groups if any(of == group for _, of in chosen)]
                parts.append(_figures_table(f"{where}{which}", evaluation.methods, held, chosen))
    return "".join(parts)


def _figures_table(
    caption: str, methods: Sequence[str], groups: Sequence[str], chosen: dict[tuple[str, str], Row]
) -> str:
    judged = calibrated(chosen.values())
    header = ["method"]
    for group in groups:
        header.append(escape(group))
        header += ["ECE", "NLL", "Brier"] if group in judged else []
    lines = []
    for method in methods:
        line = [escape(method)]
        for group in groups:
            row = chosen.get((method, group))
            line.append("–" if row is None else accuracy(row, chosen.get((REFERENCE, group))))
            if group in judged:
                line += [figure(row, "ece", 100), figure(row, "nll", 1), figure(row, "brier", 1)]
        lines.append(line)
    return table(
        f"{caption}: accuracy and ECE in %, 95 % interval over seeds, difference from zero-shot", header, lines
    )


def accuracy(row: Row, reference: Row | None) -> str:
    """Mean, interval, and how far it is from zero-shot's, as an HTML cell."""
    interval = row.accuracy
    if math.isnan(interval.mean):
        return "–"
    text = f"{100 * interval.mean:.1f}"
    if interval.low < interval.high:
        text += f" <small>{100 * interval.low:.1f}–{100 * interval.high:.1f}</small>"
    if reference is not None and row.method != REFERENCE and not math.isnan(reference.accuracy.mean):
        gain = 100 * (interval.mean - reference.accuracy.mean)
        text += f' <small class="{"down" if gain < -0.05 else "up" if gain > 0.05 else "soft"}">{gain:+.1f}</small>'
    return text


def calibrated(rows: Iterable[Row]) -> set[str]:
    """The groups that have a calibration error."""
    return {row.group for row in rows if not math.isnan(row.mean("ece"))}


def figure(row: Row | None, name: str, factor: float) -> str:
    """A figure's mean as a cell."""
    value = float("nan") if row is None else row.mean(name)
    return "–" if math.isnan(value) else f"{factor * value:.{1 if factor == 100 else 2}f}"


def _kind(index: int, text_columns: int) -> str:
    return ' class="text"' if index < text_columns else ""
