import json
import os
from pathlib import Path

import pytest

from stream_adapter.config import FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.events import parse_image_event
from stream_adapter.transport.base import UNREADABLE, Partition, Record
from stream_adapter.transport.files import FileSource
from stream_adapter.transport.recorded import to_line


def source_of(path: Path, **options: object) -> FileSource:
    return FileSource(FilesConfig.model_validate({"input": path, "output": path.parent / "out", **options}))


def read_all(source: FileSource) -> list[Record]:
    records: list[Record] = []
    while not source.exhausted:
        records += source.poll(3, 0.0)
    return records


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    for name in (
        "dog/b.jpg",
        "cat/z.PNG",
        "cat/a.jpeg",
        "cat/deep/c.webp",
        "root.jpg",
        ".hidden/x.jpg",
        "dog/notes.txt",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return root


class TestFolder:
    def test_the_class_may_be_the_top_folder(self, pictures: Path) -> None:
        events = [parse_image_event(record) for record in read_all(source_of(pictures, class_folder="top"))]
        assert [event.label for event in events] == ["cat", "cat", "cat", "dog", None]

    def test_classes_are_folders_and_the_order_is_by_path(self, pictures: Path) -> None:
        events = [parse_image_event(record) for record in read_all(source_of(pictures))]
        assert [(event.id, event.label, event.content_type) for event in events] == [
            ("cat/a.jpeg", "cat", "image/jpeg"),
            ("cat/deep/c.webp", "deep", "image/webp"),
            ("cat/z.PNG", "cat", "image/png"),
            ("dog/b.jpg", "dog", "image/jpeg"),
            ("root.jpg", None, "image/jpeg"),
        ]
        assert {event.source for event in events} == {"pictures"}
        assert {event.time_ms for event in events} == {1_700_000_000_000}
        assert [event.data for event in events] == [event.id.encode() for event in events]
        assert [event.record.key for event in events] == [event.id.encode() for event in events]
        assert [event.record.offset for event in events] == [0, 1, 2, 3, 4]

    def test_labels_can_be_left_out(self, pictures: Path) -> None:
        events = [parse_image_event(record) for record in read_all(source_of(pictures, labels=False))]
        assert {event.label for event in events} == {None}

    def test_pictures_are_read_when_they_are_polled(self, pictures: Path) -> None:
        source = source_of(pictures)
        (pictures / "cat/a.jpeg").write_bytes(b"changed after the start")
        assert source.poll(1, 0.0)[0].value == b"changed after the start"

    def test_a_picture_that_is_gone_becomes_a_record_that_says_so(self, pictures: Path) -> None:
        source = source_of(pictures)
        (pictures / "cat/deep/c.webp").unlink()
        (pictures / "cat/z.PNG").unlink()
        (pictures / "cat/z.PNG").mkdir()
        records = read_all(source)
        assert [record.value is None for record in records] == [False, True, True, False, False]
        assert b"cannot read" in dict(records[1].headers)[UNREADABLE]
        assert b"No such file" in dict(records[1].headers)[UNREADABLE]
        assert b"is not a file" in dict(records[2].headers)[UNREADABLE]

    def test_a_name_that_is_not_utf8_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "pictures" / "cat" / os.fsdecode(b"\xff.jpg")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"data")
        (event,) = [parse_image_event(record) for record in read_all(source_of(tmp_path / "pictures"))]
        assert event.id == "cat/\ufffd.jpg" and event.data == b"data"

    def test_a_folder_without_pictures_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(TransportError, match=r"has no pictures; expected .*/CLASS/ with \*\.jpg"):
            source_of(tmp_path / "empty")
        with pytest.raises(TransportError, match="is not a folder; create it"):
            source_of(tmp_path / "missing", format="folder")


class TestManifest:
    def test_csv_with_all_columns(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(b"A")
        manifest = tmp_path / "list.csv"
        manifest.write_text(
            "path,label,id,time,source,mine\n"
            'a.jpg,"cat, black",7,2024-05-01T10:00:00Z,/camera/1,x\n'
            f"{tmp_path}/a.jpg,,,,,\n"
        )
        first, second = (parse_image_event(record) for record in read_all(source_of(manifest)))
        assert (first.id, first.label, first.source, first.time_ms) == ("7", "cat, black", "/camera/1", 1714557600000)
        assert (second.id, second.label, second.source) == (f"{tmp_path}/a.jpg", None, "list.csv")
        assert first.data == second.data == b"A"

    def test_json_lines(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(b"A")
        manifest = tmp_path / "list.jsonl"
        manifest.write_text('{"path": "a.jpg", "id": 7, "label": "cat"}\n\n{"path": "gone.jpg", "label": null}\n')
        records = read_all(source_of(manifest))
        event = parse_image_event(records[0])
        assert (event.id, event.label, event.data) == ("7", "cat", b"A")
        assert records[1].value is None and b"gone.jpg" in dict(records[1].headers)[UNREADABLE]

    @pytest.mark.parametrize(
        ("name", "text", "complaint"),
        [
            ("m.csv", "file,label\na.jpg,cat\n", "line 1 must name a column `path`, found file, label"),
            ("m.csv", "path,lable\na.jpg,cat\n", "column 'lable' in line 1; did you mean 'label'"),
            ("m.csv", "path,label\na.jpg,cat\n,dog\n", "line 3: `path` is missing or empty"),
            ("m.csv", "path\na.jpg,cat,dog\n", "line 2: has more fields than line 1: cat, dog"),
            ("m.csv", "path,time\na.jpg,yesterday\n", "line 2: `time` 'yesterday' is not an RFC 3339 time"),
            ("m.csv", "path,time\na.jpg,2024-05-01T10:00:00\n", "line 2: .* has no time zone"),
            ("m.csv", 'path\n"two\nlines.jpg"\n"torn\n', "unexpected end of data"),
            ("m.csv", "path\n", "it lists no picture"),
            ("m.jsonl", '{"path": "a.jpg"}\n{"path": 7}\n', "line 2: `path` must be text, found 7"),
            ("m.jsonl", '{"path": "a.jpg"}\n{"path"\n', "line 2: not JSON"),
            ("m.jsonl", '{"path": "a.jpg"}\n[1]\n', "line 2: must be a JSON object, found list"),
        ],
    )
    def test_mistakes_are_told_at_the_start_with_their_line(
        self, tmp_path: Path, name: str, text: str, complaint: str
    ) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(TransportError, match=complaint):
            source_of(tmp_path / name)

    def test_all_mistakes_are_told_at_once(self, tmp_path: Path) -> None:
        (tmp_path / "m.csv").write_text("path,label\n" + ",cat\n" * 30)
        with pytest.raises(TransportError, match=r"line 2: .*\n.*line 3: .*") as caught:
            source_of(tmp_path / "m.csv")
        assert str(caught.value).endswith("and 20 more")


class TestRecording:
    def recording(self, tmp_path: Path, number: int = 3, tail: bytes = b"") -> Path:
        path = tmp_path / "topic.jsonl"
        records = [
            Record(Partition("images", n % 2), 100 + n, n, b"%d" % n, b"v", (("h", b""),)) for n in range(number)
        ]
        path.write_bytes(b"".join(map(to_line, records)) + tail)
        return path

    def test_records_come_as_they_were_but_for_their_place(self, tmp_path: Path) -> None:
        records = read_all(source_of(self.recording(tmp_path)))
        assert records == [Record(Partition("topic.jsonl", 0), n, n, b"%d" % n, b"v", (("h", b""),)) for n in range(3)]

    def test_a_torn_last_line_is_left_out(self, tmp_path: Path) -> None:
        source = source_of(self.recording(tmp_path, tail=b'{"topic":"images","par'))
        assert source.lag() == {Partition("topic.jsonl", 0): 3}
        assert len(read_all(source)) == 3

    def test_a_last_line_without_line_end_counts_where_it_is_whole(self, tmp_path: Path) -> None:
        path = self.recording(tmp_path)
        path.write_bytes(path.read_bytes().rstrip(b"\n"))
        assert len(read_all(source_of(path))) == 3

    def test_a_broken_line_is_named(self, tmp_path: Path) -> None:
        path = self.recording(tmp_path, tail=b'{"topic":"images"}\n')
        source = source_of(path, format="recorded")
        with pytest.raises(
            TransportError, match=r"topic.jsonl line 4 is not a recorded record: `partition` must be int"
        ):
            source.poll(10, 0.0)


class TestDetection:
    def test_each_format_is_told_from_the_others(self, tmp_path: Path, pictures: Path) -> None:
        (tmp_path / "list.jsonl").write_text(json.dumps({"path": "a.jpg"}) + "\n")
        TestRecording().recording(tmp_path)
        names = [source_of(tmp_path / name).assigned for name in ("pictures", "list.jsonl", "topic.jsonl")]
        assert [str(*each) for each in names] == ["pictures-0", "list.jsonl-0", "topic.jsonl-0"]

    def test_what_cannot_be_told_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "readme.txt").write_text("hello")
        with pytest.raises(TransportError, match=r"cannot tell what .* its first line is b'hello'"):
            source_of(tmp_path / "readme.txt")
        with pytest.raises(TransportError, match=r"cannot read `files.input`"):
            source_of(tmp_path / "missing.jsonl")
