"""The methods that are compared, by name."""

import difflib
from collections.abc import Callable, Sequence
from functools import partial

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.methods.anytime import AnytimeCl
from stream_adapter.evaluate.methods.base import Batch, CanForget, Lessons, Method, Probabilities, Task
from stream_adapter.evaluate.methods.kernel_ridge import KernelRidge
from stream_adapter.evaluate.methods.knn import NearestNeighbours
from stream_adapter.evaluate.methods.last_label import LastLabel
from stream_adapter.evaluate.methods.lsa import LabelShiftAware
from stream_adapter.evaluate.methods.nearest_or_zero_shot import NearestOrZeroShot
from stream_adapter.evaluate.methods.online_mixture import OnlineMixture
from stream_adapter.evaluate.methods.rail import Rail
from stream_adapter.evaluate.methods.ranpac import RanPac
from stream_adapter.evaluate.methods.slda import StreamingLda
from stream_adapter.evaluate.methods.stata import StatA
from stream_adapter.evaluate.methods.tip_adapter import TipAdapter
from stream_adapter.evaluate.methods.worker_adapter import WorkerAdapter
from stream_adapter.evaluate.methods.zero_shot import ZeroShot
from stream_adapter.plugins import LEARNERS

METHODS: dict[str, Callable[[Task], Method]] = {
    "zero-shot": ZeroShot,
    "llu": partial(WorkerAdapter, method="llu"),
    "tip-adapter": TipAdapter,
    "knn": NearestNeighbours,
    "slda": StreamingLda,
    "ranpac": RanPac,
    "rail": Rail,
    "anytime": AnytimeCl,
    "kernel-ridge": KernelRidge,
    "lsa": LabelShiftAware,
    "stata": StatA,
    "nearest-or-zero-shot": NearestOrZeroShot,
    "online-mixture": OnlineMixture,
    "last-label": LastLabel,
    "default": WorkerAdapter,
}


def make_method(name: str, task: Task) -> Method:
    """The method of a name that `check_methods` lets through."""
    make = METHODS.get(name)
    return WorkerAdapter(task, method=name) if make is None else make(task)


def check_methods(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once: methods that are compared, or learners of any installed package."""
    known = list(dict.fromkeys([*METHODS, *LEARNERS.names()]))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
            advice = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(known)}"
            raise EvaluationError(f"unknown method {name!r}; {advice}")
    if not names:
        raise EvaluationError(f"no method was named; known are {', '.join(known)}")
    return tuple(dict.fromkeys(names))


__all__ = [
    "METHODS",
    "Batch",
    "CanForget",
    "Lessons",
    "Method",
    "Probabilities",
    "Task",
    "check_methods",
    "make_method",
]
