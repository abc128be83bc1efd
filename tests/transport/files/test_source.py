from pathlib import Path

import pytest

from stream_adapter.config import FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Commit, Partition, Source
from stream_adapter.transport.files import FileSink, FileSource

AT = Partition("pictures", 0)


@pytest.fixture
def config(tmp_path: Path) -> FilesConfig:
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return FilesConfig(input=tmp_path / "pictures", output=tmp_path / "out")


def names(source: FileSource) -> list[str]:
    return [(record.key or b"").decode() for record in source.poll(10, 0.0)]


def commit_at(config: FilesConfig, offset: int) -> None:
    sink = FileSink(config, FileSource(config))
    sink.commit(Commit([], {AT: offset}))
    sink.close()


def test_it_keeps_the_protocol(config: FilesConfig) -> None:
    source: Source = FileSource(config)
    assert source.assigned == {AT} and not source.exhausted and source.lag() == {AT: 4}
    source.close()


def test_nothing_comes_while_paused_or_without_room(config: FilesConfig) -> None:
    source = FileSource(config)
    source.pause()
    assert source.poll(10, 0.0) == []
    source.resume()
    assert source.poll(0, 0.0) == []
    assert len(source.poll(10, 0.0)) == 4 and source.exhausted


def test_the_next_run_goes_on_where_the_last_one_was_committed(config: FilesConfig) -> None:
    commit_at(config, 3)
    assert names(FileSource(config)) == ["b/2.jpg"]
    commit_at(config, 4)
    assert FileSource(config).exhausted


def test_pictures_added_or_removed_meanwhile_repeat_nothing(config: FilesConfig) -> None:
    commit_at(config, 2)
    (config.input / "a" / "0.jpg").write_bytes(b"before the place: not read")
    (config.input / "b" / "1b.jpg").write_bytes(b"after the place: read")
    (config.input / "a" / "2.jpg").unlink()
    assert names(FileSource(config)) == ["b/1.jpg", "b/1b.jpg", "b/2.jpg"]


def test_positions_of_another_input_are_refused(config: FilesConfig, tmp_path: Path) -> None:
    commit_at(config, 2)
    (tmp_path / "elsewhere").mkdir()
    moved = config.input.rename(tmp_path / "elsewhere" / "pictures")
    with pytest.raises(TransportError, match=r"belongs to the input .* use a new output folder"):
        FileSource(FilesConfig(input=moved, output=config.output))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        *(("{", "cannot read"), ("[7]", "cannot read"), ("[" * 9_999, "cannot read"), ("7", "cannot read")),
        *(('{"version": 9}', "has version 9, not 1"), ('{"version": 1}', "belongs to the input None")),
        *((f'{{"version": 1, "input": "INPUT"{more}}}', "cannot read.*delete it") for more in ("", ', "positions": 7')),
        ('{"version": 1, "input": "INPUT", "positions": [], "outputs": {"anchors": 7}}', "cannot read.*delete it"),
    ],
)
def test_broken_positions_are_refused(config: FilesConfig, text: str, complaint: str) -> None:
    config.output.mkdir()
    (config.output / "positions.json").write_text(text.replace("INPUT", str(config.input)))
    with pytest.raises(TransportError, match=complaint):
        FileSource(config)
