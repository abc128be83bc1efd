from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stream_adapter.adapter.refit import InlineExecutor
from stream_adapter.errors import SnapshotError
from stream_adapter.snapshots import Snapshot, SnapshotFolder, Snapshotter, Written
from tests.adapter.anchor_sets import HeldExecutor
from tests.snapshots.saving_in_a_loop import numbered


class State:
    """What is snapshotted: a number, and how often it was copied."""

    def __init__(self) -> None:
        self.number = 0
        self.copies = 0

    def take(self) -> Callable[[], Snapshot]:
        self.copies += 1
        number = self.number
        return lambda: numbered(number)


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFolder:
    return SnapshotFolder(tmp_path)


def saved(folder: SnapshotFolder) -> int | None:
    found = folder.newest(fingerprint="encoder", changelog="topic")
    return None if found is None else found.created_at_ms


def test_the_copy_is_made_at_once_and_written_later(folder: SnapshotFolder) -> None:
    executor, state, written = HeldExecutor(), State(), list[Written]()
    snapshotter = Snapshotter(folder, 60.0, executor, 0.0, written=written.append)
    snapshotter.turn(59.9, state.take)
    assert (state.copies, executor.held, snapshotter.age_s(59.9)) == (0, 0, None)
    state.number = 1
    snapshotter.turn(60.0, state.take)
    state.number = 2
    assert (state.copies, saved(folder)) == (1, None)
    executor.run()
    snapshotter.turn(61.0, state.take)
    assert saved(folder) == 1
    assert [report.bytes > 400_000 for report in written] == [True]
    assert snapshotter.age_s(61.0) == pytest.approx(1.0)


def test_one_is_written_at_a_time_and_the_next_is_due_from_the_last_copy(folder: SnapshotFolder) -> None:
    executor, state = HeldExecutor(), State()
    snapshotter = Snapshotter(folder, 60.0, executor, 0.0)
    snapshotter.turn(70.0, state.take)
    snapshotter.turn(140.0, state.take)
    assert state.copies == 1
    executor.run()
    snapshotter.turn(141.0, state.take)  # overdue by now
    assert state.copies == 2
    executor.run()
    snapshotter.turn(200.9, state.take)
    assert state.copies == 2
    snapshotter.turn(201.0, state.take)
    assert state.copies == 3


def test_a_full_disk_is_reported_and_the_worker_goes_on(
    folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise SnapshotError("no space left")

    failures = list[SnapshotError]()
    snapshotter = Snapshotter(folder, 60.0, InlineExecutor(), 0.0, failed=failures.append)
    state = State()
    monkeypatch.setattr(SnapshotFolder, "save", full)
    snapshotter.turn(60.0, state.take)
    with capture_logs() as logs:
        snapshotter.turn(61.0, state.take)
    monkeypatch.undo()
    assert [str(failure) for failure in failures] == ["no space left"]
    assert [entry["event"] for entry in logs] == ["could not write a snapshot"]
    assert snapshotter.age_s(61.0) is None
    snapshotter.turn(120.0, state.take)
    assert (state.copies, saved(folder)) == (2, 0)


def test_the_last_word_is_written_before_the_end(folder: SnapshotFolder) -> None:
    state, written = State(), list[Written]()
    snapshotter = Snapshotter(folder, 60.0, InlineExecutor(), 0.0, written=written.append)
    state.number = 1
    snapshotter.turn(60.0, state.take)
    state.number = 2
    snapshotter.finish(61.0, state.take)
    assert (saved(folder), len(written)) == (2, 2)


def test_an_error_that_is_no_full_disk_is_not_hidden(folder: SnapshotFolder) -> None:
    snapshotter = Snapshotter(folder, 60.0, InlineExecutor(), 0.0)

    def broken() -> Snapshot:
        raise ZeroDivisionError

    snapshotter.turn(60.0, lambda: broken)
    with pytest.raises(ZeroDivisionError):
        snapshotter.turn(61.0, lambda: broken)
