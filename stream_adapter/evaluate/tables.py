"""The tables of figures, and the methods' colours."""

import math
from collections.abc import Iterator, Sequence
from html import escape

from stream_adapter.evaluate.html import Table
from stream_adapter.evaluate.results import ALL, REFERENCE, Row
from stream_adapter.evaluate.running import Evaluation

_FIGURES = {"ece": "ECE", "nll": "NLL", "brier": "Brier"}


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


def figures_tables(evaluation: Evaluation, found: Sequence[Row], figures: Sequence[str]) -> Iterator[Table]:
    """Accuracy and these figures beside it, a method a line: for all domains and each, and each number of shots."""
    over = f" with its 95 % interval over {evaluation.seeds} seeds" if evaluation.seeds > 1 else ""
    for shots in sorted({row.shots for row in found}, key=lambda value: value or 0):
        for domain in dict.fromkeys(row.domain for row in found):
            chosen = {(row.method, row.group): row for row in found if row.shots == shots and row.domain == domain}
            where = ("" if domain == ALL else f", {domain}") + ("" if shots is None else f", {shots} per class")
            title = f"{evaluation.features.name}{where}: accuracy in %{over} (difference from zero-shot), ECE in %"
            for groups in evaluation.settings.tables:
                yield _figures_table(title, evaluation.methods, groups, chosen, figures)


def _figures_table(
    title: str,
    methods: Sequence[str],
    groups: Sequence[str],
    chosen: dict[tuple[str, str], Row],
    figures: Sequence[str],
) -> Table:
    judged = {row.group for row in chosen.values() if not math.isnan(row.mean("ece"))}
    columns: list[tuple[str, str | None]] = []
    for group in [group for group in groups if any(of == group for _, of in chosen)]:
        columns += [(group, None), *((group, figure) for figure in figures if group in judged)]
    header = [
        group if figure is None else {"ece": "ECE", "nll": "NLL"}.get(figure, figure.title())
        for group, figure in columns
    ]
    lines = [
        [method, *(_cell(chosen.get((method, group)), chosen.get((REFERENCE, group)), name) for group, name in columns)]
        for method in methods
    ]
    return Table(title, ["method", *header], lines)


def _cell(row: Row | None, reference: Row | None, figure: str | None) -> str:
    if row is None:
        return "–"
    if figure is not None:
        value = row.mean(figure)
        return "–" if math.isnan(value) else f"{100 * value:.1f}" if figure == "ece" else f"{value:.2f}"
    text = row.accuracy.points()
    if reference is None or row.method == REFERENCE or math.isnan(row.accuracy.mean - reference.accuracy.mean):
        return text
    return f"{text} ({100 * (row.accuracy.mean - reference.accuracy.mean):+.1f})"
