"""A second learner on trial beside the one that answers."""

from collections.abc import Callable
from typing import TypeVar

import structlog

from stream_adapter.adapter.learner import Learner

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class Shadow:
    """A learner that is left out from the moment when it fails, and nothing else is the worse for it.

    Args:
        learner: None for no one.
        method: its name.
    """

    def __init__(self, learner: Learner | None = None, method: str | None = None) -> None:
        self._learner = learner
        self._method = method

    def attempt(self, step: Callable[[Learner], _T]) -> _T | None:
        """Do something with the learner; None where there is none, or it fails."""
        if self._learner is None:
            return None
        try:
            return step(self._learner)
        except Exception:
            log.exception("the method in the shadow failed and is left out", method=self._method)
            self._learner = None
            return None
