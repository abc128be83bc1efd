"""What commands write to a person or a pipe, and ask: harmless in every encoding, and an end that can be read.

Whatever of it comes from users or from events goes through here or through `escape_controls`.
"""

import contextlib
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from stream_adapter.errors import OutputError
from stream_adapter.terminal_text import escape_controls

_WRITERS = (__name__, "rich", "typer", "click")  # of all that goes to the standard streams


def say(text: str, *, err: bool = False, lines: bool = False) -> None:
    """Print a line, or several where `lines` is set, with what steers terminals escaped."""
    stream = sys.stderr if err else sys.stdout
    if stream is not None:  # Python's for one that is closed
        stream.write(escape_controls(text, lines=lines) + "\n")
        stream.flush()


def say_json(document: Mapping[str, Any]) -> None:
    """Print a line for programs: JSON in every encoding."""
    unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    say(json.dumps(document, ensure_ascii=not unicode))


def confirm(question: str) -> None:
    """Ask, and end the command unless the answer is yes.

    Raises:
        typer.BadParameter: there is nobody to answer.
    """
    if sys.stdin is None:  # Python's for a standard input that is closed
        raise typer.BadParameter("the standard input is closed, so nobody can be asked; --yes does it without asking")
    typer.confirm(escape_controls(question), abort=True)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Set up the standard streams for a command, and say so where they cannot be written.

    Characters that their encoding lacks are written as escapes.

    Raises:
        OutputError: they take no more, because the disk is full, say.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except OSError as error:
        innermost = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
        if not str(innermost.f_globals.get("__name__")).startswith(_WRITERS):
            raise
        raise _failure(error) from error
    finally:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError as error:
            with contextlib.suppress(OSError, ValueError):  # what is left would fail once more as Python ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise _failure(error) from error


def _failure(error: OSError) -> OutputError:
    return OutputError(f"the output cannot be written: {error.strerror}; make room, or send it elsewhere")
