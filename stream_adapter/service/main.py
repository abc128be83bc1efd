"""A worker as a process: logs, signals, exit."""

import logging
import os
import signal
import threading
from types import FrameType
from typing import NoReturn

import structlog

from stream_adapter.config import Config
from stream_adapter.service.build import open_worker
from stream_adapter.service.heap import frozen, keep_heap_small
from stream_adapter.service.logs import configure_logs
from stream_adapter.service.worker import DrainBudgetExceeded, Worker

log = structlog.get_logger(__name__)

# What a shell reports for a process that signal N ended.
_ENDED_BY_SIGNAL = 128


def run_worker(config: Config) -> None:
    """Run a worker until SIGTERM, SIGINT or the end of its input.

    The first signal drains the worker, or ends it where it is still starting and has nothing to drain. A second one
    ends the process at once.
    """
    configure_logs(config.service.log_level, config.service.log_format)
    keep_heap_small()
    ending = _Ending()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ending.asked_for)
    with open_worker(config) as worker:
        ending.worker = worker
        try:
            work(worker)
        except DrainBudgetExceeded as error:
            # Threads that are stuck would keep the process from ending.
            log.error("stopped without draining", error=str(error))
            os._exit(1)
    log.info("stopped")
    # Where a fit or a graph is still computed: it would take up to a minute, and serve nobody.
    if any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        _end(0)


def work(worker: Worker) -> None:
    """Restore a worker and run it, with nothing in the collector's way; for a process that does nothing else."""
    worker.restore()
    with frozen():
        worker.run()


def _end(status: int) -> NoReturn:
    """End the process here and now."""
    logging.shutdown()
    os._exit(status)


class _Ending:
    """What signals do. None is left to its default action, which a container's first process does not have."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self._asked = False

    def asked_for(self, number: int, frame: FrameType | None) -> None:
        """A signal handler."""
        if self._asked:
            os._exit(_ENDED_BY_SIGNAL + number)
        self._asked = True
        log.info("stopping", signal=signal.Signals(number).name)
        if self.worker is None or not self.worker.restored:
            # Nothing is under way that could be lost. Not by an exception: where the signal finds the interpreter in a
            # finalizer, that is swallowed, and the worker would go on to start.
            _end(_ENDED_BY_SIGNAL + number)
        self.worker.stop()
