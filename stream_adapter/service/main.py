"""A worker as a process: logs, signals, exit."""

import logging
import os
import signal
import threading
from types import FrameType

import structlog

from stream_adapter.config import Config
from stream_adapter.service.build import BACKGROUND, open_worker
from stream_adapter.service.logs import configure_logs
from stream_adapter.service.worker import DrainBudgetExceeded

log = structlog.get_logger(__name__)


def run_worker(config: Config) -> None:
    """Run a worker until SIGTERM, SIGINT or the end of its input.

    A second signal ends the process at once, without draining. The process also ends here where a fit or a graph is
    still being computed: it would take up to a minute, and serve nobody.

    Raises:
        StreamAdapterError: whatever kept the worker from starting or ended it.
    """
    configure_logs(config.service.log_level, config.service.log_format)
    with open_worker(config) as worker:

        def drain(number: int, frame: FrameType | None) -> None:
            for each in (signal.SIGTERM, signal.SIGINT):
                signal.signal(each, _end_at_once)
            log.info("stopping", signal=signal.Signals(number).name)
            worker.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, drain)
        try:
            worker.run()
        except DrainBudgetExceeded as error:
            # Threads that are stuck would keep the process from ending.
            log.error("stopped without draining", error=str(error))
            os._exit(1)
    log.info("stopped")
    if any(thread.name.startswith(BACKGROUND) for thread in threading.enumerate()):
        logging.shutdown()
        os._exit(0)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    """Not left to the default: the first process of a container has none, it would ignore the signal."""
    os._exit(128 + number)
