"""Signals, sent to a worker that is a container's first process."""

import os
import signal
import time

import pytest

from tests.processes import ended_within, first_process, still_running

# The real module with a stand-in for the worker: neither torch nor a model is loaded, so the process is there at once.
SCRIPT = """
import contextlib, gc, sys, time, types
build = types.ModuleType("stream_adapter.service.build")
worker = types.ModuleType("stream_adapter.service.worker")

class Worker:
    restored = {restored}
    stopping = False
    def stop(self):
        self.stopping = True
        print("draining", flush=True)
    def restore(self):
        if not self.restored:
            print("restoring", flush=True)
            time.sleep(60)
    def run(self):
        assert gc.get_freeze_count() > 10_000  # what libraries are made of is in nobody's way
        print("running", flush=True)
        while not self.stopping:
            time.sleep(0.01)
        time.sleep({drains_for})

@contextlib.contextmanager
def open_worker(config):
    {opening}
    yield Worker()

build.open_worker, worker.Worker, worker.DrainBudgetExceeded = open_worker, Worker, RuntimeError
sys.modules["stream_adapter.service.build"], sys.modules["stream_adapter.service.worker"] = build, worker
from stream_adapter.config import parse
from stream_adapter.service.main import run_worker
run_worker(parse("encoder: {{model: m, pretrained: p}}\\nvocabulary: {{classes: [a]}}"))
"""


def script(*, opening: str = "pass", restored: bool = True, drains_for: float = 0.0) -> str:
    return SCRIPT.format(opening=opening, restored=restored, drains_for=drains_for)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param(script(), 0, id="running"),
        pytest.param(script(opening="print('loading'); time.sleep(60)"), 128 + signal.SIGTERM, id="loading"),
        pytest.param(
            script(opening="type('Slow', (), {'__del__': lambda self: print('loading') or time.sleep(3)})()"),
            128 + signal.SIGTERM,
            id="loading, in a finalizer",
        ),
        pytest.param(script(restored=False), 128 + signal.SIGTERM, id="restoring"),
    ],
)
def test_sigterm_drains_a_worker_or_ends_one_that_is_still_starting(text: str, status: int) -> None:
    with first_process(text) as (parent, pid):
        os.kill(pid, signal.SIGTERM)
        assert ended_within(parent, 20.0) == status


@pytest.mark.parametrize(("restored", "status"), [(True, 0), (False, 128 + signal.SIGTERM)])
def test_it_does_not_wait_for_a_fit_that_serves_nobody(restored: bool, status: int) -> None:
    fit = "import threading; threading.Thread(target=time.sleep, args=(600,)).start()"
    with first_process(script(opening=fit, restored=restored)) as (parent, pid):
        os.kill(pid, signal.SIGTERM)
        assert ended_within(parent, 20.0) == status


def test_a_second_signal_ends_it_at_once() -> None:
    with first_process(script(drains_for=60.0)) as (parent, pid):
        os.kill(pid, signal.SIGTERM)
        assert parent.stdout is not None
        assert parent.stdout.readline() == "draining\n"
        time.sleep(0.1)
        assert still_running(pid)
        os.kill(pid, signal.SIGTERM)
        assert ended_within(parent, 10.0) == 128 + signal.SIGTERM
