from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from stream_adapter.adapter import refit
from stream_adapter.adapter.fitting import FitProblem, Fitted, solve
from stream_adapter.adapter.refit import InlineExecutor, Refitting
from stream_adapter.config import RefitConfig
from tests.adapter.anchor_sets import HeldExecutor
from tests.adapter.test_fitting import fit_problem


class Counted:
    """Stands for the adapter: hands out problems and counts them."""

    def __init__(self, **config: Any) -> None:
        self.refitting = Refitting(RefitConfig(**{"every_labels": 10, "max_age_s": 2.0, **config}))
        self.executor = HeldExecutor()
        self.taken: list[float] = []
        self.adjusted: list[float] = []

    def maintain(self, now_s: float) -> Fitted | None:
        def take() -> FitProblem:
            self.taken.append(now_s)
            return fit_problem(taken_at_s=now_s)

        def adjust() -> Callable[[], Fitted]:
            self.adjusted.append(now_s)
            return partial(solve, fit_problem(taken_at_s=-1.0))

        return self.refitting.maintain(self.executor, now_s, take, adjust)


def test_enough_changes_are_fitted_at_once_and_few_ones_when_they_are_old() -> None:
    counted = Counted()
    assert counted.maintain(0.0) is None
    counted.refitting.changed(9)
    for now_s in (1.0, 2.9):
        counted.maintain(now_s)
    assert counted.taken == []
    counted.maintain(3.0)
    assert counted.taken == [3.0]
    counted.executor.run()
    fitted = counted.maintain(3.1)
    assert fitted is not None
    assert fitted.taken_at_s == 3.0
    counted.refitting.changed(10)
    counted.maintain(3.3)
    assert counted.taken == [3.0, 3.3]


def test_without_changes_nothing_is_ever_fitted() -> None:
    counted = Counted()
    for now_s in (0.0, 100.0, 1e6):
        assert counted.maintain(now_s) is None
    assert counted.taken == []


def test_changes_during_a_fit_wait_for_it_and_count_from_when_they_came() -> None:
    counted = Counted()
    counted.refitting.changed(10)
    counted.maintain(0.0)
    counted.refitting.changed(3)
    counted.maintain(1.0)
    assert (counted.taken, counted.refitting.changes) == ([0.0], 13)
    counted.executor.run()
    assert counted.maintain(1.25) is not None
    counted.maintain(2.75)
    assert (counted.taken, counted.refitting.changes) == ([0.0], 3)
    counted.maintain(3.0)  # the oldest of them came two seconds ago
    assert (counted.taken, counted.refitting.changes) == ([0.0, 3.0], 3)
    counted.executor.run()
    counted.maintain(4.0)
    assert counted.refitting.changes == 0


def test_after_a_fit_it_rests_for_as_long_as_the_fit_took() -> None:
    counted = Counted()
    counted.refitting.changed(10)
    counted.maintain(0.0)
    counted.refitting.changed(10)
    counted.executor.run()
    assert counted.maintain(4.0) is not None
    counted.maintain(7.5)
    assert counted.taken == [0.0]
    counted.maintain(8.0)
    assert counted.taken == [0.0, 8.0]


def test_without_a_background_the_result_is_there_at_once() -> None:
    counted = Counted(background=False)
    counted.refitting.changed(10)
    assert counted.maintain(0.0) is not None
    assert (counted.executor.held, counted.refitting.changes) == (0, 0)


@pytest.mark.parametrize("background", [True, False])
def test_what_a_fit_raises_surfaces_and_is_not_the_end(monkeypatch: pytest.MonkeyPatch, background: bool) -> None:
    def fail(_: FitProblem) -> Fitted:
        raise RuntimeError("out of memory")

    counted = Counted(background=background)
    with monkeypatch.context() as patch:
        patch.setattr(refit, "solve", fail)
        counted.refitting.changed(10)
        with pytest.raises(RuntimeError, match="out of memory"):
            counted.maintain(0.0)
            counted.executor.run()
            counted.maintain(0.1)
    assert counted.refitting.changes == 10, "what was not fitted is still to be fitted"
    counted.maintain(10.0)
    counted.maintain(20.0)
    counted.executor.run()
    counted.maintain(20.1)
    assert counted.refitting.changes == 0


def test_the_inline_executor_hands_results_and_errors_on() -> None:
    assert InlineExecutor().submit(divmod, 7, 2).result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        InlineExecutor().submit(divmod, 7, 0).result()


# New evidence ---------------------------------------------------------------------------------------------------------


def test_new_evidence_alone_adjusts_and_fits_nothing() -> None:
    counted = Counted()
    counted.refitting.evidence_changed()
    counted.refitting.evidence_changed()
    assert counted.refitting.changes == 2
    assert counted.maintain(0.0) is None
    assert (counted.taken, counted.adjusted, counted.refitting.changes) == ([], [0.0], 2)
    counted.executor.run()
    adjusted = counted.maintain(0.1)
    assert adjusted is not None
    assert adjusted.taken_at_s == -1.0
    assert counted.refitting.changes == 0


def test_a_fit_that_is_due_takes_the_evidence_along() -> None:
    counted = Counted(background=False)
    counted.refitting.evidence_changed()
    counted.refitting.changed(10)
    assert counted.maintain(0.0) is not None
    assert (counted.taken, counted.adjusted, counted.refitting.changes) == ([0.0], [], 0)


def test_evidence_that_comes_during_a_fit_waits_for_it() -> None:
    counted = Counted()
    counted.refitting.changed(10)
    counted.maintain(0.0)
    counted.refitting.evidence_changed()
    counted.maintain(0.5)
    assert counted.adjusted == []
    counted.executor.run()
    assert counted.maintain(1.0) is not None
    for now_s in (1.5, 2.0):
        counted.maintain(now_s)
    assert counted.adjusted == [2.0], "it rests for as long as the fit took"


def test_evidence_whose_adjustment_failed_is_still_to_be_heard() -> None:
    def fail() -> Fitted:
        raise RuntimeError("out of memory")

    refitting = Refitting(RefitConfig(background=False))
    refitting.evidence_changed()
    with pytest.raises(RuntimeError, match="out of memory"):
        refitting.maintain(InlineExecutor(), 0.0, fit_problem, lambda: fail)
    assert refitting.changes == 1
