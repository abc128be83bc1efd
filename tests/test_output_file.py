"""What stands at a path before, during and after something is written there."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stream_adapter.output_file import is_standard_output, open_output


def write(path: Path, data: bytes = b"new") -> None:
    with open_output(path) as file:
        file.write(data)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with open_output(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


def test_what_ends_badly_leaves_everything_as_it_was(tmp_path: Path) -> None:
    old, absent = tmp_path / "old", tmp_path / "absent"
    old.write_bytes(b"old")
    for path in (old, absent):
        with pytest.raises(KeyError), open_output(path) as file:
            file.write(b"half")
            raise KeyError
    assert old.read_bytes() == b"old"
    assert names(tmp_path) == ["old"]


def test_what_a_killed_run_left_is_no_obstacle_and_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / ".out.new").symlink_to(tmp_path / "elsewhere")
    write(tmp_path / "out")
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    assert names(tmp_path) == ["elsewhere", "out"]


def test_the_rights_of_a_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o604)
    write(path)
    assert path.stat().st_mode & 0o777 == 0o604


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed_and_stays(tmp_path: Path, there: bool) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    if there:
        target.write_bytes(b"old")
    link.symlink_to("folder/target")
    write(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert names(tmp_path / "folder") == ["target"]


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(pipe)
    reader.join(10)
    assert read == [b"new"]
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_a_device_is_written_to_and_stays() -> None:
    assert Path(os.devnull).is_char_device()
    write(Path(os.devnull))
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("error", [IsADirectoryError, FileNotFoundError, OSError])
def test_what_cannot_be_written_is_an_error(tmp_path: Path, error: type[OSError]) -> None:
    (tmp_path / "loop").symlink_to("loop")
    path = {IsADirectoryError: tmp_path, FileNotFoundError: tmp_path / "no" / "out", OSError: tmp_path / "loop"}[error]
    with pytest.raises(error):
        write(path)
    assert names(tmp_path) == ["loop"]


SCRIPT = """
import sys
from pathlib import Path
from stream_adapter.output_file import is_standard_output, open_output
path = Path(sys.argv[1])
print("before")
with open_output(path) as file:
    file.write(b"data\\n")
print("after", is_standard_output(path))
"""


def test_the_standard_output_takes_its_turn_in_a_pipe_and_in_a_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, "/dev/stdout"]
    piped = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    assert piped == b"before\ndata\nafter True\n"
    log = tmp_path / "log"
    log.write_bytes(b"earlier\n")
    with log.open("ab") as file:
        subprocess.run(command, stdout=file, check=True)
    assert log.read_bytes() == b"earlier\n" + piped


def test_another_file_is_not_the_standard_output(tmp_path: Path) -> None:
    assert not is_standard_output(tmp_path / "absent")
    (tmp_path / "out").touch()
    assert not is_standard_output(tmp_path / "out")
