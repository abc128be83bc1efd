"""What events bring steers no terminal: not in tables, JSON lines and errors of commands, not in logs."""

import json
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import structlog

from stream_adapter.cli import _complain
from stream_adapter.errors import MalformedEvent
from stream_adapter.events import AnchorRecord
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import WaitingEvent
from stream_adapter.operations.dead_letters import Letter
from stream_adapter.operations.labels import Fate
from stream_adapter.operations.showing import (
    show_anchor,
    show_anchors,
    show_answers,
    show_fates,
    show_findings,
    show_letters,
    show_reasons,
    show_waiting,
)
from stream_adapter.operations.trying import Reading, show_readings
from stream_adapter.service.logs import configure_logs
from stream_adapter.terminal_text import escape_controls
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.kafka.topic_check import Finding
from tests.faults.hostile_records import ESCAPES

NAME = f"dog{ESCAPES}\u061c犬"
HARMFUL = set("\x1b\x07\x00\x9b\u202e\u2066\u061c\ud800\r")
ANCHOR = AnchorRecord("a" * 32, np.ones(1, np.float32), NAME, 0, NAME, NAME, "images", 0, 0, "f")
SAID = LabelEvent(NAME, NAME, NAME, NAME, 0, NAME, NAME)
EVENT = WaitingEvent(
    NAME, NAME, 0, NAME, 0, 0, "f", "v", (NAME, 0.5), (NAME, 0.5), NAME, "", b"", np.ones(1, np.float32)
)
LETTER = Letter("images-0@1", "label", NAME, NAME, 3, Record(Partition("images", 0), 1, 0, None, None))


@pytest.mark.parametrize("as_json", [False, True])
def test_commands_show_it_harmlessly(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    show_anchors([ANCHOR], None, as_json=as_json)
    show_anchor(ANCHOR, as_json=as_json)
    show_letters([LETTER], None, as_json=as_json)
    show_fates(EVENT, [Fate(SAID, "waiting", NAME)], as_json=as_json)
    show_waiting([EVENT], as_json=as_json)
    show_answers([{"file": NAME, "error": NAME}], as_json=as_json)
    readings = [
        Reading("images-0@1", "event", id=NAME, source=NAME, label=NAME, content_type=NAME, bytes=3),
        Reading("", "refused", "label", NAME),
    ]
    show_readings(iter(readings), as_json=as_json)
    show_findings([Finding("error", "anchors", NAME, NAME, NAME)], as_json=as_json)
    said = capsys.readouterr().out
    assert not HARMFUL & set(said)
    assert "\\u001b" in said and "犬" in said
    if as_json:
        assert [json.loads(line).get("label") or NAME for line in said.splitlines()] == [NAME] * 9


def test_whoever_labels_is_told_where_the_picture_is(capsys: pytest.CaptureFixture[str]) -> None:
    show_waiting([EVENT, replace(EVENT, reference="s3://pictures/1.jpg")], as_json=True)
    said = map(json.loads, capsys.readouterr().out.splitlines())
    assert [one["reference"] for one in said] == [None, "s3://pictures/1.jpg"]


def test_reasons_and_errors_do(capsys: pytest.CaptureFixture[str]) -> None:
    show_reasons([LETTER], None)
    _complain(MalformedEvent(f"two\nlines {NAME}"))
    said = capsys.readouterr()
    assert not HARMFUL & set(said.out + said.err)
    assert "two\nlines" in said.err


@pytest.mark.parametrize("form", ["human", "json"])
def test_logs_do(capsys: pytest.CaptureFixture[str], form: Literal["human", "json"]) -> None:
    configure_logs("info", form)
    structlog.get_logger("stream_adapter.test").warning("refused", id="\x1b[2J", label="a\u202eb")
    said = capsys.readouterr().err
    assert not HARMFUL & set(said)
    assert said.count("\\u001b") == 1 == said.count("\\u202e")


def test_half_a_character_ends_no_command() -> None:
    assert escape_controls("a\ud800b").encode() == rb"a\ud800b"


def test_plain_text_stays_as_it_is() -> None:
    for text in ("a photo of a dog.", "ein Hund, größer", "كلب", "犬\N{GRINNING FACE}", "\u200d"):
        assert escape_controls(text) == text
