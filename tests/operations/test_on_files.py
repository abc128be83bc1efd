"""The commands' functions on the file transport; on Kafka they are tested in `tests/integration/test_worker.py`."""

import json
from pathlib import Path

import numpy as np
import pytest

from stream_adapter.config import Config, parse
from stream_adapter.errors import AnchorError, TransportError, UndecodableImage, UnknownLabel
from stream_adapter.events import AnchorRecord, image_event_headers, round_through_float16
from stream_adapter.operations import anchors, dead_letters, showing
from stream_adapter.transport.base import Commit, Partition, Record
from stream_adapter.transport.dead_letters import dead_letter
from stream_adapter.transport.files import FileSink, FileSource
from stream_adapter.transport.recorded import from_line, to_line

HEADERS = image_event_headers(source="/test", id="1", content_type="image/jpeg")
ORIGINALS = [Record(Partition("images", 2), offset, 5, b"key", b"\xff%d" % offset, HEADERS) for offset in range(3)]


def anchor(number: int, label: str) -> AnchorRecord:
    vector = np.random.default_rng(number).normal(size=8).astype(np.float32)
    return AnchorRecord(
        anchor_id=f"{number:02x}" * 16,
        vector=round_through_float16(vector / np.linalg.norm(vector)),
        label=label,
        event_time_ms=number,
        event_source="/test",
        event_id=str(number),
        topic="images",
        partition=0,
        offset=number,
        fingerprint="f",
    )


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A worker's output with three anchors and three dead letters."""
    (tmp_path / "input.jsonl").write_bytes(b"".join(map(to_line, ORIGINALS)))
    config = parse(
        "transport: files\nencoder: {model: m, pretrained: p}\nvocabulary: {classes: [cat, dog]}\n"
        f"files: {{input: {tmp_path}/input.jsonl, output: {tmp_path}/results}}"
    )
    errors = [UndecodableImage("not an image"), UndecodableImage("truncated"), UnknownLabel("no class")]
    assert config.files is not None
    sink = FileSink(config.files, FileSource(config.files))
    letters = [dead_letter(record, error) for record, error in zip(ORIGINALS, errors, strict=True)]
    learned = [anchor(1, "cat").to_record("w"), anchor(2, "dog").to_record("w"), anchor(3, "cat").to_record("w")]
    sink.commit(Commit([*letters, *learned]))
    sink.close()
    return config


def test_letters_are_listed_with_origin_stage_and_reason(config: Config) -> None:
    letters = list(dead_letters.read_letters(config))
    assert [(letter.origin, letter.stage, letter.reason) for letter in letters] == [
        ("images-2@0", "decode", "not an image"),
        ("images-2@1", "decode", "truncated"),
        ("images-2@2", "label", "no class"),
    ]


def test_replay_writes_the_originals_as_a_recording(config: Config) -> None:
    assert dead_letters.replay(config) == {"sent": 3}
    assert config.files is not None
    lines = (config.files.output / "replay.jsonl").read_bytes().splitlines()
    assert [from_line(line) for line in lines] == ORIGINALS


def test_replay_of_one_stage_passes_over_the_others(config: Config) -> None:
    assert dead_letters.replay(config, stage="label") == {"sent": 1, "passed over": 2}


@pytest.mark.parametrize(
    "origin",
    [
        (),
        (("__connect.errors.topic", b"\xff"), ("__connect.errors.partition", b"0"), ("__connect.errors.offset", b"0")),
    ],
)
def test_what_others_write_among_the_letters_is_left_out(config: Config, origin: tuple[tuple[str, bytes], ...]) -> None:
    reasons = (("__connect.errors.stage", b"decode"), ("__connect.errors.exception.message", b"of a connector"))
    assert config.files is not None
    path = config.files.output / "dead-letters.jsonl"
    foreign = Record(Partition("dead_letters", 0), 9, 5, b"key", b"value", (*origin, *reasons))
    with path.open("ab") as file:
        file.write(to_line(foreign))
    assert [letter.origin for letter in dead_letters.read_letters(config)] == [f"images-2@{n}" for n in range(3)]
    assert dead_letters.replay(config, stage="decode") == {"sent": 2, "passed over": 1, "unusable": 1}


def test_anchors_are_read_found_and_deleted(config: Config) -> None:
    assert [found.label for found in anchors.read_anchors(config).values()] == ["cat", "dog", "cat"]
    assert list(anchors.read_anchors(config, label="dog")) == ["02" * 16]
    assert list(anchors.read_anchors(config, label=" dog\n")) == ["02" * 16]
    assert anchors.find_anchor(config, "03").event_id == "3"
    anchors.delete_anchors(config, anchors.choose_anchors(config, ["01"], label="dog "))
    assert list(anchors.read_anchors(config)) == ["03" * 16]


def test_an_id_must_name_one_anchor(config: Config) -> None:
    with pytest.raises(AnchorError, match="no anchor has an id that begins with 'ff'"):
        anchors.find_anchor(config, "ff")
    with pytest.raises(AnchorError, match="3 anchors"):
        anchors.choose_anchors(config, ["0"], label=None)
    assert len(anchors.read_anchors(config)) == 3


def test_anchors_are_not_deleted_under_a_running_worker(config: Config) -> None:
    assert config.files is not None
    running = FileSink(config.files, FileSource(config.files))
    with pytest.raises(TransportError, match="another worker writes"):
        anchors.delete_anchors(config, anchors.choose_anchors(config, ["01"], label=None))
    running.close()


def test_what_programs_read_is_one_json_object_a_line(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    showing.show_anchors(list(anchors.read_anchors(config).values()), limit=2, as_json=True)
    showing.show_anchor(anchors.find_anchor(config, "01"), as_json=True)
    showing.show_letters(list(dead_letters.read_letters(config)), limit=50, as_json=True)
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [document.get("event_id") for document in documents[:3]] == ["2", "3", "1"]
    assert len(documents[2]["vector"]) == 8
    assert documents[3]["reason"] == "not an image"


def test_programs_get_all_of_it_and_people_what_a_table_holds(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    many = [anchor(number % 250, "cat") for number in range(691)]
    showing.show_anchors(many, limit=None, as_json=True)
    assert len(capsys.readouterr().out.splitlines()) == 691
    showing.show_anchors(many, limit=None, as_json=False)
    assert "691 anchors, the newest 50 shown" in capsys.readouterr().out
    letters = list(dead_letters.read_letters(config)) * 30
    showing.show_letters(letters, limit=None, as_json=True)
    assert len(capsys.readouterr().out.splitlines()) == 90


def letters_of(*reasons: tuple[str, str]) -> list[dead_letters.Letter]:
    return [
        dead_letters.Letter(f"images-0@{offset}", stage, reason, "key", 9, ORIGINALS[0])
        for offset, (stage, reason) in enumerate(reasons)
    ]


def test_reasons_are_grouped_by_what_they_have_in_common(capsys: pytest.CaptureFixture[str]) -> None:
    letters = letters_of(
        ("decode", "not a JPEG, PNG or WebP picture: 9 bytes that begin with b'[red]' (no known signature)"),
        *[("label", f"label '{name}' is not one of the 4 classes") for name in ["tapir"] * 25 + ["okapi"] * 15],
        ("decode", 'not a JPEG, PNG or WebP picture: 1,024 bytes that begin with b"it\'s" (no known signature)'),
        ("parse", "cannot read /a/1.jpg: No such file or directory"),
        *[("parse", f"cannot read {n}/b.jpg: No such file or directory") for n in range(7)],
    )
    showing.show_reasons(letters, limit=None)
    shown = " ".join(capsys.readouterr().out.split())
    assert len(shown) < 1500
    assert "50 dead letters, 4 reasons; which ones: --ids or --json" in shown
    places = [shown.index(f" {number} │ ") for number in (25, 15, 8, 2)]
    assert places == sorted(places)
    assert "images-0@40" in shown and "images-0@39" not in shown
    assert "tapir" in shown and "okapi" in shown and "6/b.jpg" in shown and "5/b.jpg" not in shown
    showing.show_reasons(letters, limit=9)
    assert "50 dead letters, the newest 9 counted, 2 reasons" in " ".join(capsys.readouterr().out.split())
    showing.show_reasons([], limit=None)
    assert capsys.readouterr().out == "0 dead letters, 0 reasons\n"


def test_what_people_read_says_how_much_is_not_shown(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    showing.show_letters(list(dead_letters.read_letters(config)), limit=2, as_json=False)
    assert "3 dead letters, the newest 2 shown" in capsys.readouterr().out


def test_in_a_pipe_ids_stay_in_one_piece(capsys: pytest.CaptureFixture[str]) -> None:
    showing.show_anchors([anchor(1, "cat")], limit=None, as_json=False)
    assert f"│ {'01' * 16} │" in capsys.readouterr().out
    showing.show_anchor(anchor(1, "cat"), as_json=False)
    assert "None" not in capsys.readouterr().out
