from collections.abc import Callable
from typing import Any

import pytest
import torch

from stream_adapter.adapter.latent_updates.maps import Fitted, identity_maps
from stream_adapter.adapter.latent_updates.refitting import Refitting
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import RefitConfig
from tests.adapter.anchor_sets import HeldExecutor


class Counted:
    """Stands for the learner: hands out work and counts it."""

    def __init__(self, clock: bool = True, **config: Any) -> None:
        self.now_s = 0.0
        self.executor = HeldExecutor()
        self.taken: list[float] = []
        self.fails = False
        self.up_to_date = False
        context = LearnerContext(clock=(lambda: self.now_s) if clock else None, background=self.executor)
        self.refitting = Refitting(RefitConfig(**{"every_labels": 10, "max_age_s": 2.0, **config}), context)

    def maintain(self, now_s: float) -> Fitted | None:
        self.now_s = now_s
        self.up_to_date = not self.refitting.changes
        return self.refitting.maintain(self.up_to_date, self.take)

    def take(self) -> Callable[[], Fitted]:
        now_s = self.now_s
        self.taken.append(now_s)

        def work() -> Fitted:
            if self.fails:
                raise RuntimeError("out of memory")
            return Fitted(identity_maps(2, torch.device("cpu")), torch.eye(2), f"at {now_s}")

        return work


def test_enough_changes_are_fitted_at_once_and_few_ones_when_they_are_old() -> None:
    counted = Counted()
    assert counted.maintain(0.0) is None
    counted.refitting.changed(9, up_to_date=False)
    for now_s in (1.0, 2.9):
        counted.maintain(now_s)
    assert counted.taken == []
    counted.maintain(3.0)
    assert counted.taken == [3.0]
    counted.executor.run()
    fitted = counted.maintain(3.1)
    assert fitted is not None
    assert fitted.version == "at 3.0"
    counted.refitting.changed(10, up_to_date=False)
    counted.maintain(3.3)
    assert counted.taken == [3.0, 3.3]


def test_without_changes_nothing_is_ever_fitted() -> None:
    counted = Counted()
    for now_s in (0.0, 100.0, 1e6):
        assert counted.maintain(now_s) is None
    assert counted.taken == []


def test_what_came_and_went_again_needs_no_fit_and_what_nobody_counted_needs_one() -> None:
    counted = Counted()
    counted.refitting.changed(10, up_to_date=False)
    assert counted.refitting.maintain(True, counted.take) is None
    assert (counted.taken, counted.refitting.changes) == ([], 0)
    counted.refitting.changed(10, up_to_date=False)
    counted.refitting.changed(10, up_to_date=True)
    assert counted.refitting.changes == 0
    counted.refitting.maintain(False, counted.take)
    assert counted.refitting.changes == 1
    counted.now_s = 2.0
    counted.refitting.maintain(False, counted.take)
    assert counted.taken == [2.0]


def test_changes_during_a_fit_wait_for_it_and_count_from_when_they_came() -> None:
    counted = Counted()
    counted.refitting.changed(10, up_to_date=False)
    counted.maintain(0.0)
    counted.refitting.changed(3, up_to_date=False)
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
    counted.refitting.changed(10, up_to_date=False)
    counted.maintain(0.0)
    counted.refitting.changed(10, up_to_date=False)
    counted.executor.run()
    assert counted.maintain(4.0) is not None
    counted.maintain(7.5)
    assert counted.taken == [0.0]
    counted.maintain(8.0)
    assert counted.taken == [0.0, 8.0]


def test_without_a_clock_it_is_due_whenever_something_has_changed() -> None:
    counted = Counted(clock=False, background=False)
    counted.refitting.changed(1, up_to_date=False)
    assert counted.maintain(0.0) is not None
    assert counted.maintain(0.0) is None
    counted.refitting.changed(1, up_to_date=False)
    assert counted.maintain(0.0) is not None


def test_without_a_background_the_result_is_there_at_once() -> None:
    counted = Counted(background=False)
    counted.refitting.changed(10, up_to_date=False)
    assert counted.maintain(0.0) is not None
    assert (counted.executor.held, counted.refitting.changes) == (0, 0)


def test_a_fit_that_was_abandoned_never_comes_back() -> None:
    counted = Counted()
    counted.refitting.changed(10, up_to_date=False)
    counted.maintain(0.0)
    counted.refitting.abandon()
    assert counted.refitting.changes == 10
    counted.executor.run()
    assert counted.maintain(0.1) is None
    assert counted.taken == [0.0, 0.1]


@pytest.mark.parametrize("background", [True, False])
def test_what_a_fit_raises_surfaces_and_is_not_the_end(background: bool) -> None:
    counted = Counted(background=background)
    counted.fails = True
    counted.refitting.changed(10, up_to_date=False)
    with pytest.raises(RuntimeError, match="out of memory"):
        counted.maintain(0.0)
        counted.executor.run()
        counted.maintain(0.1)
    assert counted.refitting.changes == 10, "what was not fitted is still to be fitted"
    counted.fails = False
    counted.maintain(10.0)
    counted.executor.run()
    counted.maintain(20.1)
    assert counted.refitting.changes == 0
