"""The threads that decode pictures: one that a picture keeps too long is given up, and another takes its place."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

import structlog

from stream_adapter.errors import UndecodableImage

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
_Work = tuple[Future[Any], Callable[[], Any]]

_LOOKS = 60  # at what is being decoded, before it is given up


class Decoders(Executor):
    """A pool whose work is bounded in time; a thread cannot be ended from outside, so one that hangs is left alone.

    Time is counted in looks, and not by the clock: a process that stood still meanwhile gives nothing up. Each one that
    is given up halves the time that the next ones have, until none was for a while: a batch full of them must not hold
    its worker up for longer than one of them does.

    Args:
        threads: that decode at a time.
        most_s: seconds, about, after which what is still being decoded has failed.
    """

    def __init__(self, threads: int, most_s: float) -> None:
        self._threads = threads
        self._most_s = most_s
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._looks: dict[Future[Any], int] = {}  # at what is being decoded
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._patience = _LOOKS
        self._quiet = 0  # looks since one was given up
        for _ in range(threads):
            self._hire()
        threading.Thread(target=self._watch, name="decode-watch", daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See `Executor`; what takes too long ends in `UndecodableImage`."""
        if self._ended.is_set():
            raise RuntimeError("the decoders were shut down")
        future: Future[T] = Future()
        self._work.put((future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; never waits: a thread that hangs must not keep a process from ending."""
        self._ended.set()
        for _ in range(self._threads):
            self._work.put(None)

    def _hire(self) -> None:
        # Daemons: the interpreter would wait for others at its end.
        threading.Thread(target=self._decode, name="decode", daemon=True).start()

    def _decode(self) -> None:
        while (job := self._work.get()) is not None:
            future, work = job
            if not future.set_running_or_notify_cancel():
                continue
            with self._lock:
                self._looks[future] = 0
            outcome, error = None, None
            try:
                outcome = work()
            except BaseException as raised:  # noqa: BLE001 - it belongs to whoever asks for the result
                error = raised
            with self._lock:
                if self._looks.pop(future, None) is None:
                    return  # it was given up, and another thread hired
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(outcome)
            del future, work, job, outcome, error  # a picture must not stay until the next one comes

    def _watch(self) -> None:
        while not self._ended.wait(self._most_s / _LOOKS):
            with self._lock:
                self._looks = {future: looks + 1 for future, looks in self._looks.items()}
                late = [future for future, looks in self._looks.items() if looks > self._patience]
                for future in late:
                    del self._looks[future]
            self._quiet = 0 if late else self._quiet + 1
            if self._quiet % _LOOKS == 0:
                self._patience = min(_LOOKS, 2 * self._patience)
            for future in late:
                self._patience = max(1, self._patience // 2)
                self._hire()
                log.error("gave up a picture that was being decoded, and its thread", after_s=self._most_s)
                future.set_exception(
                    UndecodableImage(
                        f"was still being decoded after {self._most_s:g} s (`encoder.decode_s`), or less where others "
                        "had been: a damaged or hostile file"
                    )
                )
