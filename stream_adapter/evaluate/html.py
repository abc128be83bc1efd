"""Tables of texts, the same on a terminal and on a page, and the page around them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import rich.table
from rich import markup
from rich.console import Console

from stream_adapter.terminal_text import escape_controls

_RISE, _UP = re.compile(r"\(\+[\d.]+\)"), r'<small class="up">\g<0></small>'
_FALL, _DOWN = re.compile(r"\(-[\d.]+\)"), r'<small class="down">\g<0></small>'


@dataclass(frozen=True, slots=True)
class Table:
    """Texts in rows, of which the first `text_columns` are words and the others numbers; a change is `(+1.2)`."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1

    def show(self, console: Console) -> None:
        """Print it."""
        shown = rich.table.Table()
        for number, name in enumerate(self.header):
            shown.add_column(_harmless(name), justify="left" if number < self.text_columns else "right", no_wrap=True)
        for row in self.rows:
            shown.add_row(*map(_harmless, row))
        console.print(escape_controls(self.title), markup=False, highlight=False, soft_wrap=True)
        console.print(shown)

    def html(self) -> str:
        """An element of a page."""
        head = self._cells("th", self.header)
        body = "".join(f"<tr>{self._cells('td', row)}</tr>" for row in self.rows)
        caption = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f'<div class="scroll">{table}</div>'

    def _cells(self, tag: str, texts: Sequence[str]) -> str:
        words, numbers = texts[: self.text_columns], texts[self.text_columns :]
        return "".join(
            [
                *(f'<{tag} class="text">{escape(text)}</{tag}>' for text in words),
                *(f"<{tag}>{_RISE.sub(_UP, _FALL.sub(_DOWN, escape(text)))}</{tag}>" for text in numbers),
            ]
        )


def _harmless(text: str) -> str:
    return markup.escape(escape_controls(text))


def page(title: str, parts: Iterable[str]) -> str:
    """A self-contained page of HTML elements: no script, no font, no request, light and dark."""
    css = files("stream_adapter.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css}</style></head><body><main>\n"
        + "\n".join([f"<h1>{escape(title)}</h1>", *filter(None, parts)])
        + "\n</main></body></html>\n"
    )
