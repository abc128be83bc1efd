import errno
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream_adapter.errors import SnapshotError
from stream_adapter.snapshots import Snapshot, SnapshotFolder
from tests.snapshots.saving_in_a_loop import numbered, whole

ROOT = Path(__file__).parents[2]


def newest(folder: SnapshotFolder, oldest_ms: int | None = None) -> int | None:
    """The number of the newest snapshot."""
    found = folder.newest(fingerprint="encoder", changelog="topic", oldest_ms=oldest_ms)
    assert found is None or whole(found)
    return None if found is None else found.created_at_ms


def test_the_newest_is_found_and_older_ones_go(tmp_path: Path) -> None:
    with SnapshotFolder(tmp_path / "a" / "b", keep=2) as folder:
        assert newest(folder) is None
        for number in (5, 3, 4):  # a clock that is set back
            folder.save(numbered(number))
        assert newest(folder) == 4
    with SnapshotFolder(tmp_path / "a" / "b", keep=2) as folder:
        assert newest(folder) == 4
        folder.discard_newest("a test")
        assert newest(folder) == 3
        folder.discard_newest("a test")
        assert newest(folder) is None


def test_everything_of_a_snapshot_comes_back(tmp_path: Path) -> None:
    with SnapshotFolder(tmp_path) as folder:
        saved = replace(numbered(7), offsets={0: 12, 3: 9}, facts={"monitor": [1, {"a": None}]})
        size = folder.save(saved)
        found = folder.newest(fingerprint="encoder", changelog="topic")
    assert found is not None and size > 400_000
    names = ("fingerprint", "vocabulary_hash", "created_at_ms", "changelog", "offsets", "facts")
    assert all(getattr(found, name) == getattr(saved, name) for name in names)
    assert found.arrays["array"].tolist() == [7] * 50_000


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (replace(numbered(9), fingerprint="other"), "encoder other, this worker runs encoder"),
        (replace(numbered(9), changelog="remade"), "changelog 'remade', this worker follows 'topic'"),
        (numbered(1), "1 ms before the oldest deletion"),
    ],
)
def test_what_does_not_fit_is_passed_over_with_a_reason(tmp_path: Path, snapshot: Snapshot, reason: str) -> None:
    with SnapshotFolder(tmp_path) as folder:
        folder.save(numbered(8))
        folder.save(snapshot)
        with capture_logs() as logs:
            assert newest(folder, oldest_ms=2) == 8
        assert len(logs) == 1 and reason in logs[0]["reason"]
        with capture_logs() as logs:
            assert newest(folder, oldest_ms=2) == 8
        assert logs == [], "looked at twice"


def test_a_damaged_snapshot_is_passed_over_and_gone_after_the_next(tmp_path: Path) -> None:
    with SnapshotFolder(tmp_path) as folder:
        for number in (1, 2):
            folder.save(numbered(number))
        damaged = max(tmp_path.glob("snapshot-*"))
        data = bytearray(damaged.read_bytes())
        data[-1] ^= 1
        damaged.write_bytes(data)
        with capture_logs() as logs:
            assert newest(folder) == 1
        assert "its checksum does not match" in logs[0]["reason"]
        assert [path.read_bytes() for path in tmp_path.glob("*.unusable")] == [data]
        folder.save(numbered(3))
        assert newest(folder) == 3
        assert list(tmp_path.glob("*.unusable")) == []


def test_a_folder_belongs_to_one_worker(tmp_path: Path) -> None:
    first = SnapshotFolder(tmp_path)
    with pytest.raises(SnapshotError, match="another worker keeps its snapshots in"):
        SnapshotFolder(tmp_path)
    first.close()
    SnapshotFolder(tmp_path).close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SnapshotError, match=r"cannot use the folder of snapshots .*/file/x"):
        SnapshotFolder(tmp_path / "file" / "x")


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("snapshot-mine.bin", "notes.txt"):
        (tmp_path / name).write_text("mine")
    with SnapshotFolder(tmp_path, keep=1) as folder:
        folder.save(numbered(1))
        folder.save(numbered(2))
        assert newest(folder) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".lock", "notes.txt", "snapshot-00000002.bin", "snapshot-mine.bin",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_writer_that_is_killed_at_any_moment_leaves_a_whole_state(tmp_path: Path) -> None:
    """Forty times; what was announced as complete is never lost, and never a mixture of two."""
    chance = random.Random(0)
    torn = last = 0
    for _ in range(40):
        command = [sys.executable, "-m", "tests.snapshots.saving_in_a_loop", str(tmp_path)]
        writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        announced = [int(writer.stdout.readline())]
        time.sleep(chance.uniform(0.0, 0.03))
        writer.kill()
        announced += [int(line) for line in writer.stdout.read().splitlines()]
        writer.wait()
        torn += bool(list(tmp_path.glob(".*.new")))
        with SnapshotFolder(tmp_path) as folder, capture_logs() as logs:
            found = newest(folder)
        assert logs == [], "a snapshot under its final name was not whole"
        # One more than announced: it was killed between the rename and the print.
        assert found in (announced[-1], announced[-1] + 1)
        assert announced[0] == last + 1
        assert list(tmp_path.glob(".*.new")) == []
        last = found
    assert torn >= 5, "hardly any of the kills met a write"


def test_a_read_only_disk_is_read_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker must not depend on what it only keeps to start sooner."""
    with SnapshotFolder(tmp_path) as folder:
        folder.save(numbered(3))
    opened = Path.open

    def refuse(self: Path, mode: str = "r", *arguments: Any, **more: Any) -> Any:
        if set(mode) & set("wax+"):
            raise OSError(errno.EROFS, "Read-only file system")
        return opened(self, mode, *arguments, **more)

    monkeypatch.setattr(Path, "open", refuse)
    with SnapshotFolder(tmp_path) as folder:
        assert newest(folder) == 3
        with pytest.raises(SnapshotError, match="another worker keeps its snapshots"):
            SnapshotFolder(tmp_path)
    with pytest.raises(SnapshotError, match="cannot use the folder"):
        SnapshotFolder(tmp_path / "new")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
@pytest.mark.parametrize("name", ["snapshot-00000099.bin", "snapshot-00000002.bin", "snapshot-999999999999.bin"])
def test_what_is_no_file_is_passed_over_with_one_line(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    """A pipe would be waited for, without end, by whoever reads it and by whoever writes it."""
    make(tmp_path / name)
    with capture_logs() as logs, SnapshotFolder(tmp_path, keep=1) as folder:
        assert newest(folder) is None
        for number in (1, 2, 3):
            folder.save(numbered(number))
        assert newest(folder) == 3
    assert [(one["event"], one["names"]) for one in logs] == [("passed over what is no snapshot of a worker", [name])]
    assert (tmp_path / name).exists() and not (tmp_path / name).is_file()
    assert len(list(tmp_path.glob("snapshot-*"))) == 2


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_lock_file_is_set_aside(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / ".lock")
    with capture_logs() as logs, SnapshotFolder(tmp_path) as folder:
        folder.save(numbered(1))
        with pytest.raises(SnapshotError, match="another worker keeps its snapshots"):
            SnapshotFolder(tmp_path)
    assert [one["event"] for one in logs] == ["set aside what is no lock file"]
    assert (tmp_path / ".lock.unusable").exists()


@pytest.mark.parametrize("digits", [1, 7, 13, 242])
def test_a_number_that_no_snapshot_has_is_passed_over(tmp_path: Path, digits: int) -> None:
    """With a name as long as a file system lets it be there is no longer one to set it aside under."""
    stranger = tmp_path / f"snapshot-{'9' * digits}.bin"
    stranger.write_text("mine")
    with capture_logs() as logs, SnapshotFolder(tmp_path, keep=1) as folder:
        assert newest(folder) is None
        for number in (1, 2):
            folder.save(numbered(number))
        assert newest(folder) == 2
    assert [one["names"] for one in logs] == [[stranger.name]]
    assert stranger.read_text() == "mine" and (tmp_path / "snapshot-00000002.bin").exists()


def test_numbers_that_are_used_up_are_a_failure_with_its_reason(tmp_path: Path) -> None:
    with SnapshotFolder(tmp_path) as folder:
        (tmp_path / "snapshot-999999999999.bin").write_text("not a worker's")
        with pytest.raises(SnapshotError, match=r"no number left after snapshot-999999999999\.bin: delete that file"):
            folder.save(numbered(1))
        assert newest(folder) is None
        folder.save(numbered(2))
        assert newest(folder) == 2


def test_a_folder_set_aside_is_left_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "snapshot-00000099.bin.unusable").mkdir()
    with SnapshotFolder(tmp_path) as folder:
        folder.save(numbered(1))
    assert (tmp_path / "snapshot-00000099.bin.unusable").is_dir()


def test_a_snapshot_that_cannot_be_set_aside_is_passed_over(tmp_path: Path) -> None:
    with SnapshotFolder(tmp_path) as folder:
        for number in (1, 2):
            folder.save(numbered(number))
        (tmp_path / "snapshot-00000002.bin.unusable").mkdir()
        assert newest(folder) == 2
        with capture_logs() as logs:
            folder.discard_newest("a test")
        assert [one["event"] for one in logs] == ["discarded a snapshot", "could not set a snapshot aside; delete it"]
        assert newest(folder) == 1
        (tmp_path / "snapshot-00000002.bin").unlink()
        folder.save(numbered(5))
        assert newest(folder) == 5


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE])
def test_a_folder_that_cannot_be_read_for_now_is_a_failed_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with SnapshotFolder(tmp_path) as folder:
        folder.save(numbered(1))

        def refuse(*_: object) -> Any:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as broken, capture_logs() as logs:
            broken.setattr(os, "scandir", refuse)
            with pytest.raises(SnapshotError, match=rf"{tmp_path}.*{os.strerror(number)}.*`snapshots.folder`"):
                folder.save(numbered(2))
            assert newest(folder) is None
        assert [one["event"] for one in logs] == ["could not look for snapshots"]
        assert newest(folder) == 1
