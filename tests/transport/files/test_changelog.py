from pathlib import Path

import pytest

from stream_adapter.config import FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.changelog import AnchorDeletion
from stream_adapter.transport.files import FileAnchorChangelog
from stream_adapter.transport.recorded import to_line


def changelog_with(folder: Path, content: bytes) -> FileAnchorChangelog:
    (folder / "anchors.jsonl").write_bytes(content)
    return FileAnchorChangelog(FilesConfig(input=folder, output=folder))


def deletion(number: int) -> bytes:
    return to_line(Record(Partition("anchors", 0), number, 0, b"%d" % number, None))


def test_a_first_run_restores_nothing(tmp_path: Path) -> None:
    changelog = FileAnchorChangelog(FilesConfig(input=tmp_path, output=tmp_path / "new"))
    assert list(changelog.restore()) == [] and changelog.poll() == ()
    changelog.close()


def test_it_restores_in_order_and_in_portions(tmp_path: Path) -> None:
    portions = list(changelog_with(tmp_path, b"".join(map(deletion, range(2_500)))).restore())
    assert [len(portion) for portion in portions] == [1_000, 1_000, 500]
    assert [change for portion in portions for change in portion] == [AnchorDeletion(str(n)) for n in range(2_500)]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    assert list(changelog_with(tmp_path, deletion(1) + deletion(2)[:40]).restore()) == [[AnchorDeletion("1")]]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"anchors.jsonl line 2 is not a recorded record"):
        list(changelog_with(tmp_path, deletion(1) + b"?\n" + deletion(3)).restore())


def test_what_is_no_anchor_is_passed_over(tmp_path: Path) -> None:
    strange = to_line(Record(Partition("anchors", 0), 0, 0, b"k", b"not a vector"))
    assert list(changelog_with(tmp_path, strange + deletion(1)).restore()) == [[AnchorDeletion("1")]]
