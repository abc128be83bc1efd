"""Structured logs: for a person in a terminal, JSON otherwise."""

import logging
import sys
from typing import Literal

import structlog


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
    finish: list[structlog.typing.Processor] = [plain] if human else [tracebacks, structlog.processors.JSONRenderer()]
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
    # Reported as an unknown error hundreds of times a second: another worker's transaction is still open, wait for it.
    logging.getLogger("kafka.coordinator.consumer").addFilter(
        lambda record: "UnstableOffsetCommitError" not in record.getMessage()
    )
