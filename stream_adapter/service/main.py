"""A worker as a process: logs, signals, exit."""

import os
import signal
from types import FrameType

import structlog

from stream_adapter.config import Config
from stream_adapter.service.build import open_worker
from stream_adapter.service.logs import configure_logs
from stream_adapter.service.worker import DrainBudgetExceeded

log = structlog.get_logger(__name__)


def run_worker(config: Config) -> None:
    """Run a worker until SIGTERM, SIGINT or the end of its input.

    A second signal ends the process at once, without draining.

    Raises:
        StreamAdapterError: whatever kept the worker from starting or ended it.
    """
    configure_logs(config.service.log_level, config.service.log_format)
    with open_worker(config) as worker:

        def drain(number: int, frame: FrameType | None) -> None:
            signal.signal(number, signal.SIG_DFL)
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
