"""Points in the anchors' history, and the history in a file; that of a topic is in `tests/integration`."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.config import Config
from stream_adapter.errors import AnchorError
from stream_adapter.events import PresenceRecord, anchor_tombstone
from stream_adapter.operations.history import Point, anchors_at
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.recorded import to_line
from tests.operations.anchor_records import config_on_files, record


@pytest.mark.parametrize(
    ("text", "point"),
    [
        (None, Point()),
        ("12", Point(offsets={None: 12})),
        ("0:12", Point(offsets={0: 12})),
        ("0:12,3:4", Point(offsets={0: 12, 3: 4})),
        ("1970-01-01T00:00:01.5Z", Point(time_ms=1_500)),
        ("1970-01-01T01:00:00+01:00", Point(time_ms=0)),
    ],
)
def test_points(text: str | None, point: Point) -> None:
    assert Point.parse(text) == point


@given(st.text())
def test_what_is_no_point_is_said_to_be_none(text: str) -> None:
    try:
        Point.parse(text)
    except AnchorError as error:
        assert "is no point in the anchors' history" in str(error)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A history of six lines, one a second."""
    config = config_on_files(tmp_path / "results")
    write(config, [
        record(1).to_record("w"),
        record(2).to_record("w"),
        PresenceRecord("evidence/slot", b"1", "f", "v").to_record("w"),
        record(1, "dog", time_ms=9).to_record("w"),
        record(1, "owl", time_ms=5).to_record("w"),  # written later, but an older label
        anchor_tombstone(record(2).anchor_id, "w"),
    ])  # fmt: skip
    return config


def write(config: Config, outputs: list[OutRecord]) -> None:
    assert config.files is not None
    config.files.output.mkdir()
    lines = [
        to_line(Record(Partition("anchors", 0), n, 1_000 * n, output.key, output.value, output.headers))
        for n, output in enumerate(outputs)
    ]
    (config.files.output / "anchors.jsonl").write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    ("at", "labels", "end"),
    [
        ("0", {}, 0),
        ("1", {1: "cat"}, 1),
        ("0:3", {1: "cat", 2: "cat"}, 3),
        ("4", {1: "dog", 2: "cat"}, 4),
        ("5", {1: "dog", 2: "cat"}, 5),
        (None, {1: "dog"}, 6),
        ("99", {1: "dog"}, 6),
        ("1970-01-01T00:00:02Z", {1: "cat", 2: "cat"}, 3),
        ("1970-01-01T00:00:02.999Z", {1: "cat", 2: "cat"}, 3),
        ("1970-01-01T00:00:03Z", {1: "dog", 2: "cat"}, 4),
        ("2026-01-01T00:00:00Z", {1: "dog"}, 6),
    ],
)
def test_the_anchors_as_they_were(config: Config, at: str | None, labels: dict[int, str], end: int) -> None:
    state = anchors_at(config, Point.parse(at))
    assert {int(key, 16): anchor.label for key, anchor in state.anchors.items()} == labels
    assert (state.offsets, state.whole) == ({0: end}, True)


def test_a_partition_that_is_not_there_is_named(config: Config) -> None:
    with pytest.raises(AnchorError, match="no partition 1; they have 0"):
        anchors_at(config, Point.parse("1:5"))


def test_before_the_first_run_there_is_nothing(tmp_path: Path) -> None:
    assert anchors_at(config_on_files(tmp_path / "results"), Point()).anchors == {}
