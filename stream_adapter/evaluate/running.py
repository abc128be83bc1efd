"""Runs a protocol for all methods and seeds, in this process or in several."""

import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Protocol

import torch

from stream_adapter.config import AdapterConfig
from stream_adapter.evaluate.features import Features
from stream_adapter.evaluate.methods import Method, Task, make_method
from stream_adapter.evaluate.methods.base import Advance, Make
from stream_adapter.evaluate.methods.worker_adapter import WorkerAdapter
from stream_adapter.evaluate.results import Outcome, Run


class Settings(Protocol):
    """A dataclass of a protocol's settings, which runs it; `tables` has the groups that are shown side by side."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    protocol: ClassVar[str]
    tables: ClassVar[tuple[tuple[str, ...], ...]]

    def size(self, features: Features) -> int:
        """About how many events one run predicts."""

    def run(self, features: Features, make: Make, seed: int, advance: Advance) -> Outcome:
        """Run one method with the draws of one seed."""


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """What is to be run; `adapter` has the settings of `default` and `llu`.

    With a `protection` the product runs all of the methods, each under it; a rival under 0 is what was published.
    """

    features: Features
    settings: Settings
    methods: tuple[str, ...]
    seeds: int
    adapter: AdapterConfig
    protection: float | None = None

    @property
    def jobs(self) -> list[tuple[str, int]]:
        """All pairs of method and seed, seed by seed."""
        return [(method, seed) for seed in range(self.seeds) for method in self.methods]

    def run(self, method: str, seed: int, advance: Advance) -> Run:
        """Run one method with one seed."""

        def make(never_taught: tuple[str, ...]) -> Method:
            adapter = self.adapter
            if self.protection is not None:
                adapter = adapter.model_copy(update={"protection": self.protection})
            task = Task(self.features.vocabulary, never_taught, seed, adapter)
            if self.protection and method != "default":
                return WorkerAdapter(task, method=method, protection=self.protection)
            return make_method(method, task)

        started = time.perf_counter()
        outcome = self.settings.run(self.features, make, seed, advance)
        return Run(method, seed, time.perf_counter() - started, outcome)


def run_all(evaluation: Evaluation, processes: int, advance: Advance) -> list[Run]:
    """Run everything; the runs come in the order of `Evaluation.jobs`, however many processes work on them.

    Args:
        evaluation: what.
        processes: 1 runs everything here. Several have one torch thread each and are ended when this is interrupted.
        advance: for a progress bar.
    """
    runs = {}
    here = (evaluation.run(*job, advance) for job in evaluation.jobs)
    for run in here if processes == 1 else _in_processes(evaluation, processes, advance):
        runs[run.method, run.seed] = run
    return [runs[job] for job in evaluation.jobs]


def _in_processes(evaluation: Evaluation, processes: int, advance: Advance) -> Iterator[Run]:
    size = evaluation.settings.size(evaluation.features)
    # Forked children of a process that has used torch's threads may hang; leaving the block ends the processes.
    with multiprocessing.get_context("spawn").Pool(processes, _begin, (evaluation,)) as pool:
        for run in pool.imap_unordered(_run_one, evaluation.jobs):
            advance(size)
            yield run


# What the jobs of a child process have in common; sent once, not with each job.
_common: list[Evaluation] = []


def _begin(evaluation: Evaluation) -> None:
    torch.set_num_threads(1)
    _common.append(evaluation)


def _run_one(job: tuple[str, int]) -> Run:
    return _common[0].run(*job, lambda events: None)
