from pathlib import Path

import pytest

from stream_adapter.config import FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.changelog import Change, Unusable
from stream_adapter.transport.files import FileChangelog
from stream_adapter.transport.recorded import to_line


def changelog_with(folder: Path, content: bytes) -> FileChangelog:
    (folder / "anchors.jsonl").write_bytes(content)
    return FileChangelog(FilesConfig(input=folder, output=folder), "me")


def deletion(number: int) -> bytes:
    return to_line(Record(Partition("anchors", 0), number, 0, b"%d" % number, None))


def deleted(number: int, offset: int) -> Change:
    return Change(str(number), None, offset=offset)


def test_it_follows_what_is_committed_and_goes_on_where_it_was(tmp_path: Path) -> None:
    changelog = changelog_with(tmp_path, deletion(1))
    assert list(changelog.read_to_end()) == [[deleted(1, 1)]] and changelog.poll() == ()
    own = Record(Partition("anchors", 0), 2, 0, b"2", None, (("writer", b"me"),))
    with (tmp_path / "anchors.jsonl").open("ab") as file:
        file.write(to_line(own))
    assert changelog.poll() == [Change("2", None, own=True, offset=2, writer="me")]
    assert changelog.positions == {0: 2}
    later = FileChangelog(FilesConfig(input=tmp_path, output=tmp_path), "other")
    assert later.identity == changelog.identity and later.go_on_from({0: 1})
    assert list(later.read_to_end()) == [[Change("2", None, offset=2, writer="me")]]
    assert not later.go_on_from({0: 3})


def test_a_file_of_another_run_has_another_identity(tmp_path: Path) -> None:
    assert changelog_with(tmp_path, b"").identity == ""
    assert changelog_with(tmp_path, deletion(1)).identity != changelog_with(tmp_path, deletion(2)).identity


def test_a_first_run_restores_nothing(tmp_path: Path) -> None:
    changelog = FileChangelog(FilesConfig(input=tmp_path, output=tmp_path / "new"), "me")
    assert list(changelog.read_to_end()) == [] and changelog.poll() == ()
    changelog.close()


def test_it_restores_in_order_and_in_portions(tmp_path: Path) -> None:
    portions = list(changelog_with(tmp_path, b"".join(map(deletion, range(2_500)))).read_to_end())
    assert [len(portion) for portion in portions] == [1_000, 1_000, 500]
    assert [change for portion in portions for change in portion] == [deleted(n, n) for n in range(2_500)]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    assert list(changelog_with(tmp_path, deletion(1) + deletion(2)[:40]).read_to_end()) == [[deleted(1, 1)]]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"anchors.jsonl line 2 is not a recorded record"):
        list(changelog_with(tmp_path, deletion(1) + b"?\n" + deletion(3)).read_to_end())


def test_what_is_no_anchor_is_given_on_as_unusable(tmp_path: Path) -> None:
    strange = to_line(Record(Partition("anchors", 0), 0, 0, b"k", b"not a vector"))
    [[unusable, after]] = changelog_with(tmp_path, strange + deletion(1)).read_to_end()
    assert isinstance(unusable.content, Unusable) and unusable.content.reason == "garbage"
    assert after == deleted(1, 1)
