from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.errors import SnapshotError
from stream_adapter.snapshots import Snapshot, SnapshotFolder, Snapshotter, Written
from tests.adapter.anchor_sets import HeldExecutor
from tests.snapshots.saving_in_a_loop import numbered


class State:
    """What is snapshotted: a number."""

    def __init__(self) -> None:
        self.number = 0
        self.steps = list[str]()

    def begin(self) -> "State":
        self.steps.append("begin")
        return self

    def run(self) -> None:
        self.steps.append("run")

    def finish(self) -> Callable[[], Snapshot]:
        self.steps.append("finish")
        number = self.number
        return lambda: numbered(number)


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFolder:
    return SnapshotFolder(tmp_path)


def newest(folder: SnapshotFolder) -> int | None:
    found = folder.newest(fingerprint="encoder", changelog="topic")
    return None if found is None else found.created_at_ms


def test_the_bulk_is_copied_and_written_in_the_background(folder: SnapshotFolder) -> None:
    executor, state, written = HeldExecutor(), State(), list[Written]()
    snapshotter = Snapshotter(folder, 60.0, executor, 0.0, written=written.append)
    snapshotter.step(59.9, state.begin)
    assert (state.steps, snapshotter.age_s(59.9)) == ([], None)
    snapshotter.step(60.0, state.begin)
    snapshotter.step(60.5, state.begin)  # still being copied
    assert (state.steps, executor.held) == (["begin"], 1)
    executor.run()
    state.number = 1
    snapshotter.step(61.0, state.begin)
    assert (state.steps, executor.held) == (["begin", "run", "finish"], 1)
    state.number = 2
    snapshotter.step(61.5, state.begin)  # still being written
    assert newest(folder) is None
    executor.run()
    snapshotter.step(62.0, state.begin)
    assert newest(folder) == 1, "the state when the copy was finished"
    assert [report.bytes > 400_000 for report in written] == [True]
    assert snapshotter.age_s(62.0) == pytest.approx(1.0)


def test_one_is_under_way_at_a_time_and_the_next_is_due_from_the_last_beginning(folder: SnapshotFolder) -> None:
    executor, state = HeldExecutor(), State()
    snapshotter = Snapshotter(folder, 60.0, executor, 0.0)
    for now_s in (70.0, 140.0):
        snapshotter.step(now_s, state.begin)
    for now_s in (140.1, 140.2):
        executor.run()
        snapshotter.step(now_s, state.begin)
    assert state.steps.count("begin") == 1
    snapshotter.step(141.0, state.begin)  # overdue by now
    assert state.steps.count("begin") == 2
    for now_s in (141.1, 141.2, 200.9):
        executor.run()
        snapshotter.step(now_s, state.begin)
    assert state.steps.count("begin") == 2
    snapshotter.step(201.0, state.begin)
    assert state.steps.count("begin") == 3


def test_a_full_disk_is_reported_and_the_worker_goes_on(
    folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise SnapshotError("no space left")

    failures = list[SnapshotError]()
    snapshotter = Snapshotter(folder, 60.0, InlineExecutor(), 0.0, failed=failures.append)
    state = State()
    monkeypatch.setattr(SnapshotFolder, "save", full)
    with capture_logs() as logs:
        for now_s in (60.0, 60.1, 60.2):
            snapshotter.step(now_s, state.begin)
    monkeypatch.undo()
    assert [str(failure) for failure in failures] == ["no space left"]
    assert [entry["event"] for entry in logs] == ["could not write a snapshot"]
    assert snapshotter.age_s(61.0) is None
    for now_s in (120.0, 120.1, 120.2):
        snapshotter.step(now_s, state.begin)
    assert newest(folder) == 0 and snapshotter.age_s(121.1) == pytest.approx(1.0)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_the_last_state_is_saved_whatever_was_under_way(folder: SnapshotFolder, turns: int) -> None:
    state, written = State(), list[Written]()
    snapshotter = Snapshotter(folder, 60.0, InlineExecutor(), 0.0, written=written.append)
    for _ in range(turns):
        snapshotter.step(60.0, state.begin)
    state.number = 2
    snapshotter.finish(61.0, state.begin)
    assert (newest(folder), len(written)) == (2, 1 + (turns > 0))


@pytest.mark.parametrize("step", ["run", "finish"])
def test_an_error_that_is_no_full_disk_is_not_hidden(
    folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def broken(_: State) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(State, step, broken)
    snapshotter, state = Snapshotter(folder, 60.0, InlineExecutor(), 0.0), State()
    snapshotter.step(60.0, state.begin)
    with pytest.raises(ZeroDivisionError):
        snapshotter.step(61.0, state.begin)
