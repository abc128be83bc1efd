"""Structured logs: for a person in a terminal, JSON otherwise."""

import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Literal

import structlog

from stream_adapter.terminal_text import escape_controls

_REPEAT_S = 600.0


def configure_logs(level: str, form: Literal["auto", "human", "json"]) -> None:
    """Send structlog and the standard library's loggers to standard error in one form.

    Args:
        level: "debug", "info", "warning" or "error".
        form: "human", "json", or "auto" for human where standard error is a terminal.
    """
    human = form == "human" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Both would show the local variables of every frame, and in some of them are the passwords of `kafka.security`.
    plain = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    finish: list[structlog.typing.Processor] = (
        [_escaped, plain] if human else [tracebacks, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # The libraries' own chatter is about their insides; their warnings are not.
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    logging.getLogger("stream_adapter").setLevel(level.upper())
    handler.addFilter(_Repeats())


def _escaped(logger: object, name: str, entry: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What events bring must not steer a terminal; JSON escapes it anyway."""
    return {
        key: escape_controls(value, lines=True) if isinstance(value, str) else value for key, value in entry.items()
    }


class _Repeats(logging.Filter):
    """Lets what Kafka's client repeats through once in ten minutes.

    It says the same hundreds of times: while no broker answers, or while another worker's transaction is open. What
    matters of it is in our own messages too.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write this record."""
        if not record.name.startswith("kafka."):
            return True
        # Some messages come with what they are about in them: without numbers and addresses they are the same.
        what, now = (record.name, re.sub(r"0x[0-9a-f]+|\d+", "", str(record.msg))), self._clock()
        if now - self._said_at.get(what, -_REPEAT_S) < _REPEAT_S:
            return False
        self._said_at[what] = now
        return True
