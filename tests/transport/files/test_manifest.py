"""Manifests as spreadsheets, Windows and people write them; see `test_inputs.py` for the form that is documented."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.config import FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.events import ImageEvent, parse_image_event
from stream_adapter.transport.base import Record
from stream_adapter.transport.files.source import open_input


def records(folder: Path, text: str, name: str = "list.csv", encoding: str = "utf-8") -> list[Record]:
    (folder / "sub").mkdir(exist_ok=True)
    for path in ("a.jpg", "sub/a.jpg"):
        (folder / path).write_bytes(path.encode())
    (folder / name).write_bytes(text.encode(encoding))
    files = open_input(FilesConfig(input=folder / name, output=folder / "out"))
    found = list(files.records(0))
    assert len(found) == len(files)
    return found


def read(folder: Path, text: str, name: str = "list.csv", encoding: str = "utf-8") -> list[ImageEvent]:
    return [parse_image_event(record) for record in records(folder, text, name, encoding)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("path;label;id\na.jpg;cat;7\n", "list.csv"),
        ("path\tlabel\tid\r\na.jpg\tcat\t7\r\n", "list.tsv"),
        ("path|label|id\na.jpg|cat|7\n", "list.csv"),
        ("Path,ID,Label\na.jpg,7,cat\n", "list.csv"),
        ("path, id, label\na.jpg, 7, cat\n", "list.csv"),
        (' "PATH"; "Label"; id \n"a.jpg"; "cat";7 \n', "list.CSV"),
        ("\n,,\npath,label,id\na.jpg,cat,7\n,,\n , ,\n\n", "list.csv"),
        ("path,label,id,,\na.jpg,cat,7,,,\n", "list.csv"),
        ("path;label;id\na.jpg;cat;7\n", "list.txt"),
        ('\n{"Path": " a.jpg", "LABEL": "cat ", "id": "7"}\n', "list.jsonl"),
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path: Path, text: str, name: str) -> None:
    if name.endswith(".txt"):  # whose format only the configuration tells
        (tmp_path / name).write_text(text)
        config = FilesConfig(input=tmp_path / name, output=tmp_path / "out", format="manifest")
        (tmp_path / "a.jpg").write_bytes(b"a.jpg")
        (event,) = map(parse_image_event, open_input(config).records(0))
    else:
        (event,) = read(tmp_path, text, name)
    assert (event.id, event.label, event.data) == ("7", "cat", b"a.jpg")


def test_excels_utf8_has_a_mark_before_its_header(tmp_path: Path) -> None:
    (event,) = read(tmp_path, "path;label\na.jpg;Käse\n", encoding="utf-8-sig")
    assert event.label == "Käse"


def test_a_label_is_the_class_whatever_form_its_accents_have(tmp_path: Path) -> None:
    events = read(tmp_path, "path,label\na.jpg, cafe\u0301 \na.jpg,   \n")
    assert [event.label for event in events] == ["caf\u00e9", None]
    line = json.dumps({"path": "a.jpg", "label": "cafe\u0301\n"})
    assert [event.label for event in read(tmp_path, line, "list.jsonl")] == ["caf\u00e9"]


@pytest.mark.parametrize(("name", "text"), [("l.csv", "path\nsub\\a.jpg\n"), ("l.jsonl", '{"path": "sub\\\\a.jpg"}\n')])
def test_a_path_from_windows_is_found(tmp_path: Path, name: str, text: str) -> None:
    (event,) = read(tmp_path, text, name)
    assert (event.id, event.data) == ("sub/a.jpg", b"sub/a.jpg")


def test_a_backslash_in_a_name_is_one_where_such_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "sub\\a.jpg").write_bytes(b"odd")
    (event,) = read(tmp_path, "path\nsub\\a.jpg\n")
    assert (event.id, event.data) == ("sub\\a.jpg", b"odd")
    (record,) = records(tmp_path, "path\nno\\a.jpg\n")
    assert record.key == b"no\\a.jpg" and record.value is None


def test_a_path_that_no_file_can_have_is_one_bad_record(tmp_path: Path) -> None:
    found = records(
        tmp_path, json.dumps({"path": "a\\\0.jpg"}) + "\n" + json.dumps({"path": "\\" + 5000 * "x"}), "l.jsonl"
    )
    assert [record.value for record in found] == [None, None]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("file;label\na.jpg;cat\n", "line 1 must name a column `path`, found file;label"),
        ("path,Path\na.jpg,b.jpg\n", "line 1 names the column `path` more than once"),
        ("Path,Lable\na.jpg,cat\n", "column 'lable' in line 1; did you mean 'label'"),
        ("path;label\na.jpg;cat;dog\n", "line 2: has more fields than line 1: dog"),
        (",,\n", "line 1 must name a column `path`, found none"),
        ("", "line 1 must name a column `path`, found none"),
        ("path,label\n,,\n", "it lists no picture"),
        ("path,label\n , cat\n", "line 2: `path` is missing or empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(TransportError, match=complaint):
        records(tmp_path, text)


@pytest.mark.parametrize("field", ["path", "label", "id", "time", "source"])
@pytest.mark.parametrize("path", ["a.jpg", "s3://pictures/a.jpg"])
def test_half_of_a_character_is_told_with_its_field(tmp_path: Path, field: str, path: str) -> None:
    row = {"path": path}
    row[field] = row.get(field, "") + "\ud800"
    with pytest.raises(
        TransportError, match=rf"is wrong:\n  - line 1: `{field}` holds half of a character, in .*\\ud800"
    ):
        records(tmp_path, json.dumps(row), "l.jsonl")


def test_a_file_may_have_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"odd")
    (event,) = read(tmp_path, json.dumps({"path": os.fsdecode(b"\xff.jpg")}), "l.jsonl")
    assert (event.id, event.data) == ("\ufffd.jpg", b"odd")


def test_another_encoding_is_told(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"after row \d+: not UTF-8, .*; save it as UTF-8"):
        records(tmp_path, "path,label\na.jpg,cat\n" + "a.jpg,Käse\n" * 9000, encoding="latin-1")


CELLS = st.text(st.sampled_from("abé ;,|\"'/\\."), max_size=8).map(str.strip)


@given(
    rows=st.lists(st.tuples(CELLS.filter(bool), CELLS), min_size=1, max_size=5),
    separator=st.sampled_from(",;\t|"),
    header=st.sampled_from([("path", "label"), ("Path", " LABEL ")]),
)
def test_what_csv_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], separator: str, header: tuple[str, str]
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows([header, *rows])
    folder = tmp_path_factory.mktemp("manifest")
    (folder / "list.csv").write_text(text.getvalue(), newline="")
    files = open_input(FilesConfig(input=folder / "list.csv", output=folder / "out"))
    found = [dict(record.headers) for record in files.records(0)]
    assert [(headers["ce_id"].decode(), headers.get("ce_label", b"").decode()) for headers in found] == rows


VALUES = st.text(st.characters(), max_size=4) | st.none() | st.integers() | st.lists(st.booleans(), max_size=1)
ROWS = st.dictionaries(st.sampled_from(["path", "label", "id", "time", "source"]), VALUES).map(json.dumps)


@given(
    text=st.text(st.sampled_from("path,;\n\t |\"'{}:[]\\é\x00"), max_size=60) | ROWS,
    name=st.sampled_from(["l.csv", "l.jsonl"]),
)
def test_any_text_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    (folder / name).write_text(text, newline="")
    try:
        files = open_input(FilesConfig(input=folder / name, output=folder / "out", format="manifest"))
    except TransportError:
        return
    assert len(list(files.records(0))) == len(files)
