"""What runs leave: figures of one group of events, and their mean and interval over seeds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.learner import ClassKind
from stream_adapter.evaluate.scores import Answers, calibration_error, faded, windowed

ALL = "all"
"""The domain under which all domains are counted together."""

REFERENCE = "zero-shot"
"""What every other method is compared with: it is always run."""

WINDOW = 200
"""Events in the window of windowed accuracy."""

FADING = 0.995
"""Fading factor of faded accuracy: the newest 200 events or so count."""

_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Figures:
    """How good answers were; nan where there is nothing to say it of.

    Attributes:
        ece: expected calibration error, 0..1.
        nll: mean negative log-likelihood.
        brier: mean Brier score, 0..2.
        windowed: accuracy over the newest `WINDOW` events, at the end of a stream.
        faded: accuracy with weights that fade by `FADING` per event, at the end of a stream.
    """

    events: int
    accuracy: float
    ece: float = _NAN
    nll: float = _NAN
    brier: float = _NAN
    windowed: float = _NAN
    faded: float = _NAN

    @classmethod
    def of(cls, answers: Answers) -> "Figures":
        """The figures of these answers, all of which have a truth, in whatever order."""
        if not len(answers):
            return cls(0, _NAN)
        return cls(
            len(answers),
            float(answers.hits.mean()),
            calibration_error(answers),
            float(answers.nll.mean()),
            float(answers.brier.mean()),
        )

    @classmethod
    def of_stream(cls, answers: Answers) -> "Figures":
        """As `of`, for answers in the order of a stream."""
        figures = cls.of(answers)
        if not len(answers):
            return figures
        recent = windowed(answers.hits, WINDOW)[-1], faded(answers.hits, FADING)[-1]
        return replace(figures, windowed=float(recent[0]), faded=float(recent[1]))


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of one method with one seed: of one group in one domain, and of a number of shots where there are any."""

    group: str
    domain: str
    figures: Figures
    shots: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Trace:
    """One run over a stream of n events, event by event, for plots.

    Attributes:
        answers: n answers.
        canary: bool (n,), events of canary classes.
    """

    answers: Answers
    canary: NDArray[np.bool_]

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Bool (n,): scored events of classes that are taught."""
        return (self.answers.truth >= 0) & ~self.canary


@dataclass(frozen=True, eq=False, slots=True)
class CopiesTrace:
    """How n varied pictures were answered before and after a stream of near-copies.

    Attributes:
        truth: int64 (n,), true classes.
        seen: bool (n,), pictures of the classes that had cameras.
        zero_shot: bool (n,), whether the untouched model is right.
        hits: bool (n,) for each phase, whether the method is right: "before" and "after" the copies, and "deleted",
            after wrong labels were deleted, where the method can forget.
    """

    truth: NDArray[np.int64]
    seen: NDArray[np.bool_]
    zero_shot: NDArray[np.bool_]
    hits: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """What one run of a protocol found.

    Attributes:
        trace: event by event, for protocols that are a stream.
        kinds: what each of the C classes was taken for at the end; None where the method does not say.
        held_out: names of the classes that were not taught.
        copies: picture by picture, for the stream of near-copies.
    """

    samples: list[Sample]
    trace: Trace | None = None
    kinds: Sequence[ClassKind] | None = None
    held_out: tuple[str, ...] = ()
    copies: CopiesTrace | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """One method with one seed: its outcome, and what it took in seconds of wall clock."""

    method: str
    seed: int
    seconds: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over seeds with its 95 % interval (Student's t); with one seed all three are the same."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], least: float = 0.0) -> "Interval":
        """The interval of the values that are not nan, cut at `least` and 1; nan where there is none."""
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return cls(_NAN, _NAN, _NAN)
        mean = sum(known) / len(known)
        if len(known) == 1:
            return cls(mean, mean, mean)
        variance = sum((value - mean) ** 2 for value in known) / (len(known) - 1)
        half = t_quantile(len(known) - 1) * math.sqrt(variance / len(known))
        return cls(mean, max(mean - half, least), min(mean + half, 1.0))

    def points(self, sign: str = "") -> str:
        """In hundredths, with the larger half of the interval; "–" where there is no mean."""
        if math.isnan(self.mean):
            return "–"
        half = 100 * max(self.high - self.mean, self.mean - self.low)
        return f"{100 * self.mean:{sign}.1f}" + (f" ±{half:.1f}" if half else "")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the report: a method's figures over all seeds.

    Attributes:
        group: "labelled", "canary", "seen", "unseen", "harmonic", …; see `docs/evaluation.md`.
        shots: labelled pictures per class, in the few-shot protocol.
        per_seed: the figures of each seed, in the seeds' order.
    """

    method: str
    group: str
    domain: str
    shots: int | None
    accuracy: Interval
    per_seed: tuple[Figures, ...]

    def mean(self, name: str) -> float:
        """Mean over seeds of the figure of this name; nan without any."""
        values = [value for figures in self.per_seed if not math.isnan(value := getattr(figures, name))]
        return sum(values) / len(values) if values else _NAN


def rows(runs: Sequence[Run]) -> list[Row]:
    """One row per method, group, domain and number of shots, in the order in which they first occur."""
    cells: dict[tuple[str, str, str, int | None], dict[int, Figures]] = {}
    for run in runs:
        for sample in run.outcome.samples:
            key = (run.method, sample.group, sample.domain, sample.shots)
            cells.setdefault(key, {})[run.seed] = sample.figures
    found = []
    for key, cell in cells.items():
        per_seed = tuple(cell[seed] for seed in sorted(cell))
        least = -1.0 if key[1] == "forgetting" else 0.0  # a task may be better in the end than ever before
        found.append(Row(*key, Interval.of([figures.accuracy for figures in per_seed], least), per_seed))
    return found


def plain(value: Any) -> Any:
    """Values as JSON has them: numbers with six decimals, not-a-number as null."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


def by_domain(members: NDArray[np.bool_], domains: NDArray[np.str_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """All members, then those of each domain where there is more than one: name and bool (n,)."""
    yield ALL, members
    names, first = np.unique(domains, return_index=True)
    if len(names) > 1:
        for name in names[np.argsort(first)].tolist():
            yield name, members & (domains == name)


def harmonic(first: float, second: float) -> float:
    """2 a b / (a + b); 0 where both are 0."""
    return 2.0 * first * second / (first + second) if first + second > 0.0 else 0.0


# Quantiles of Student's t at 0.975 for 1 to 9 degrees of freedom; the expansion below is within 1e-4 from 10 on.
_T_QUANTILES = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)


def t_quantile(freedom: int) -> float:
    """Quantile of Student's t at 0.975 (Abramowitz and Stegun, *Handbook of Mathematical Functions*, 26.7.5)."""
    if freedom <= len(_T_QUANTILES):
        return _T_QUANTILES[freedom - 1]
    z = 1.959964
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
