"""Who may use the adapter: the thread that owns it and, between its steps, whoever has a question."""

import contextlib
import threading
from collections.abc import Iterator


class Turns:
    """A lock that is handed on: who has just had it comes after who waits."""

    def __init__(self) -> None:
        self._gate = threading.Lock()  # held by whoever is the next
        self._lock = threading.Lock()
        self._owner: int | None = None

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else has one meanwhile."""
        self._take()
        try:
            yield
        finally:
            self._leave()

    def give_way(self) -> None:
        """Let one in who waits, in the middle of a turn; of somebody who has none it is not asked for anything."""
        if self._gate.locked() and self._owner == threading.get_ident():
            self._leave()
            self._take()

    def _take(self) -> None:
        with self._gate:
            self._lock.acquire()
        self._owner = threading.get_ident()

    def _leave(self) -> None:
        self._owner = None
        self._lock.release()
