"""Folders as phones, cameras, other systems and people make them; see `test_inputs.py` for plain ones."""

import os
import unicodedata
from pathlib import Path

import pytest
import structlog

from stream_adapter.errors import TransportError
from stream_adapter.events.formats import found_type
from stream_adapter.transport.files.folder import FolderInput
from tests.picture_files import picture

JPEG = picture("JPEG", 4, 4)


def fill(root: Path, *names: str, data: bytes = JPEG) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def labels(root: Path) -> dict[str, str | None]:
    """Label by id, of everything that is read."""
    found = {}
    for record in FolderInput(root, labels=True, class_folder="own").records(0):
        headers = {name: value.decode() for name, value in record.headers}
        found[headers["ce_id"]] = headers.get("ce_label")
    return found


def left_out(root: Path) -> list[str]:
    with structlog.testing.capture_logs() as logs:
        FolderInput(root, labels=True, class_folder="own")
    return [log["left_out"] for log in logs]


def test_the_label_is_the_pictures_own_folder(tmp_path: Path) -> None:
    fill(tmp_path, "train/red circle/1.jpg", "val/red circle/2.jpg", "blue star/3.jpg", "4.jpg")
    assert labels(tmp_path) == {
        "train/red circle/1.jpg": "red circle",
        "val/red circle/2.jpg": "red circle",
        "blue star/3.jpg": "blue star",
        "4.jpg": None,
    }
    top = FolderInput(tmp_path, labels=True, class_folder="top")
    assert [dict(record.headers).get("ce_label") for record in top.records(0)] == [None, b"blue star", b"train", b"val"]


def test_a_folder_of_macos_is_the_class(tmp_path: Path) -> None:
    folder = unicodedata.normalize("NFD", "café ")
    fill(tmp_path, f"{folder}/1.jpg")
    assert labels(tmp_path) == {f"{folder}/1.jpg": "café"}


def test_links_are_followed_and_loops_are_found(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "1.jpg", "deep/2.jpg")
    fill(tmp_path / "root", "cat/3.jpg")
    (tmp_path / "root" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "cat" / "4.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    (tmp_path / "root" / "cat" / "up").symlink_to("..")
    (tmp_path / "elsewhere" / "self").symlink_to(".")
    (tmp_path / "root" / "cat" / "gone.jpg").symlink_to("nowhere")
    assert labels(tmp_path / "root") == {
        "cat/3.jpg": "cat",
        "cat/4.jpg": "cat",
        "dog/1.jpg": "dog",
        "dog/deep/2.jpg": "deep",
    }
    assert left_out(tmp_path / "root") == ["2 links back to a folder above, 1 neither file nor folder"]


def test_one_folder_under_two_names_is_two_classes(tmp_path: Path) -> None:
    fill(tmp_path, "cat/1.jpg")
    (tmp_path / "kitten").symlink_to("cat")
    assert labels(tmp_path) == {"cat/1.jpg": "cat", "kitten/1.jpg": "kitten"}


def test_pictures_are_told_by_their_first_bytes(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jfif", "cat/b.jpe", "cat/without", "cat/IMG.123")
    fill(tmp_path, "cat/c.bmp", data=picture("BMP", 4, 4))
    fill(tmp_path, "cat/d.gif", data=picture("GIF", 4, 4))
    fill(tmp_path, "cat/e.tif", data=picture("TIFF", 4, 4))
    fill(tmp_path, "cat/broken.jpg", data=b"")  # said to be one: shows as a dead letter
    fill(tmp_path, "cat/notes.txt", "cat/labels", "cat/Thumbs.db", "cat/empty", data=b"BMx")
    found = FolderInput(tmp_path, labels=True, class_folder="own")
    types = {(record.key or b"").decode(): dict(record.headers)["content-type"].decode() for record in found.records(0)}
    assert types == {
        "cat/IMG.123": "image/jpeg",
        "cat/a.jfif": "image/jpeg",
        "cat/b.jpe": "image/jpeg",
        "cat/broken.jpg": "image/jpeg",
        "cat/c.bmp": "image/bmp",
        "cat/d.gif": "image/gif",
        "cat/e.tif": "image/tiff",
        "cat/without": "image/jpeg",
    }
    assert left_out(tmp_path) == ["4 not pictures"]


def test_a_wrong_suffix_does_not_make_the_content_type(tmp_path: Path) -> None:
    fill(tmp_path, "cat/a.jpg", data=picture("PNG", 4, 4))
    (record,) = FolderInput(tmp_path, labels=True, class_folder="own").records(0)
    assert dict(record.headers)["content-type"] == b"image/png"


@pytest.mark.parametrize("kind", ["AVIF", "WEBP", "PNG", "JPEG"])
def test_what_pillow_writes_is_told(kind: str) -> None:
    assert found_type(picture(kind, 16, 16)) == f"image/{kind.lower()}"


@pytest.mark.parametrize("data", [b"", b"BM is a word", b"GIF80a", b"%PDF-1.7", b"RIFF....AVI ", b"....ftypisom"])
def test_what_is_no_picture_is_none(data: bytes) -> None:
    assert found_type(data) == "other"


def test_what_systems_keep_beside_pictures_is_left_out_and_counted(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "cat/1.jpg",
        "cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
        "cat/.ipynb_checkpoints/1-checkpoint.jpg",
        "cat/._1.jpg",
        ".DS_Store",
        "__MACOSX/cat/1.jpg",
        "$RECYCLE.BIN/2.jpg",
    )
    assert list(labels(tmp_path)) == ["cat/1.jpg"]
    assert left_out(tmp_path) == ["3 hidden, 3 system folders"]


def test_nothing_is_said_where_nothing_is_left_out(tmp_path: Path) -> None:
    fill(tmp_path, "cat/1.jpg")
    assert left_out(tmp_path) == []


def test_a_folder_without_pictures_says_what_it_has(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.txt", "a/2.txt", data=b"text")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TransportError, match="left out were 2 not pictures, 1 neither file nor folder"):
        FolderInput(tmp_path, labels=True, class_folder="own")
