"""Reads docs/tutorial.md: what is to be typed, and what is to be seen then."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"

_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TERMINAL = re.compile(r"# terminal (\d)\n")


@dataclass(frozen=True, slots=True)
class Block:
    """Commands, and what they print in the end.

    Attributes:
        commands: shell.
        terminal: number of the terminal that they keep busy, None for the one where everything else is typed.
        output: a pattern that the output must match, None where the page shows none.
    """

    commands: str
    terminal: int | None
    output: re.Pattern[str] | None


def blocks() -> Iterator[Block]:
    """All blocks of the page, in its order."""
    found = [(kind, text) for kind, text in _FENCED.findall(PAGE.read_text()) if kind in ("sh", "text")]
    for (kind, text), (next_kind, next_text) in zip(found, [*found[1:], ("", "")], strict=True):
        if kind != "sh":
            continue
        terminal = _TERMINAL.match(text)
        output = re.compile(_pattern(next_text), re.DOTALL) if next_kind == "text" else None
        yield Block(text, int(terminal[1]) if terminal else None, output)


def _pattern(shown: str) -> str:
    """`…` alone in a line stands for any lines, within a line for anything in it."""
    parts = [re.escape(part) for part in shown.strip().split("…")]
    return r"\s*" + ".*".join(parts) + r"\s*"
