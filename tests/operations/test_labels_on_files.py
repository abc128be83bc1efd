"""Labels that come apart from their pictures, and forgetting, on the file transport."""

import contextlib
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from stream_adapter import LabelEvent, config, send_labels
from stream_adapter.cli import app
from stream_adapter.config import Config, FilesConfig
from stream_adapter.errors import StreamAdapterError, TransportError
from stream_adapter.events.image import anchor_id_of
from stream_adapter.journey.batching import Batcher
from stream_adapter.metrics import Metrics
from stream_adapter.operations.anchors import whoever
from stream_adapter.operations.forget import Plan, carry_out
from stream_adapter.operations.labels import fates_of, read_labels, what_next
from stream_adapter.service.health import Health
from stream_adapter.service.worker import Worker
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files import FileChangelog, FileSink, FileSource
from stream_adapter.transport.files.transport import FileTransport
from stream_adapter.transport.recorded import from_line, to_line
from tests.fakes import CLASSES, FakeClock, make_processor, picture

RUNNER = CliRunner()


@pytest.fixture
def loaded(tmp_path: Path) -> Config:
    lines = []
    for number in range(8):
        one = picture(CLASSES[number % 3], number, time_ms=1_000 + number)
        lines.append(to_line(Record(Partition("images", 0), number, 1_000, one["key"], one["value"], one["headers"])))
    (tmp_path / "images.jsonl").write_bytes(b"".join(lines))
    document = {
        "transport": "files",
        "files": {"input": "images.jsonl", "output": "results", "labels_file": "labels.jsonl"},
        "encoder": {"model": "ViT-B-32", "pretrained": "openai"},
        "vocabulary": {"classes": list(CLASSES)},
    }
    (tmp_path / "worker.yaml").write_text(yaml.safe_dump(document))
    return config.load(tmp_path / "worker.yaml")


def work(files: FilesConfig) -> Metrics:
    """A worker on fakes, until there is nothing more."""
    metrics, clock = Metrics(), FakeClock()
    source = FileSource(files)
    sink = FileSink(files, source)
    feed = FileTransport(files).open_labels()
    Worker(
        source=source,
        sink=sink,
        changelog=FileChangelog(files, "test"),
        classes=FileTransport(files).open_log("classes"),
        processor=make_processor(metrics=metrics, waiting_partitions=1),
        batcher=Batcher(4, 0.0, clock),
        metrics=metrics,
        health=Health(60.0, clock),
        drain_s=5.0,
        labels=feed,
    ).run()
    sink.close()
    return metrics


def anchors(files: FilesConfig) -> dict[str, tuple[str, str]]:
    found: dict[bytes | None, Any] = {}
    for line in (files.output / "anchors.jsonl").read_bytes().splitlines():
        record = from_line(line)
        found[record.key] = None if record.value is None else {n: v.decode() for n, v in record.headers}
    known = [headers for headers in found.values() if headers is not None and "label" in headers]
    return {headers["event_id"]: (headers["label"], headers.get("annotator", "")) for headers in known}


def said(number: int, label: str | None, time_ms: int = 2_000, **more: Any) -> LabelEvent:
    return LabelEvent.new("/test", str(number), label, time_ms=time_ms, **more)


def test_labels_in_a_file_are_learned_in_one_run_and_in_the_next(loaded: Config, tmp_path: Path) -> None:
    assert loaded.files is not None
    (tmp_path / "labels.jsonl").write_text('{"source": "/test", "id": "0", "label": "cat", "annotator": "ann"}')
    work(loaded.files)
    assert anchors(loaded.files) == {"0": ("cat", "ann")}
    with (tmp_path / "labels.jsonl").open("a") as file:
        file.write("\n")
    send_labels(loaded, [said(1, "dog"), said(1, "horse", 1_500), said(2, "cat", annotator="bob"), said(77, "cat")])
    metrics = work(loaded.files)
    assert anchors(loaded.files) == {"0": ("cat", "ann"), "1": ("dog", ""), "2": ("cat", "bob")}
    assert metrics.registry.get_sample_value("stream_adapter_waiting_labels") == 1
    event, fates = fates_of(loaded, "/test", "1")
    assert event is not None and event.id == "1"
    assert [(fate.label.label, fate.state) for fate in fates] == [("horse", "replaced"), ("dog", "learned")]
    assert [fate.state for fate in fates_of(loaded, "/test", "77")[1]] == ["waiting"]
    work(loaded.files)
    assert len(anchors(loaded.files)) == 3, "nothing happens twice"
    work(loaded.files)
    keys = [from_line(line).key for line in (loaded.files.output / "waiting.jsonl").read_bytes().splitlines()]
    assert len(keys) == len(set(keys)), "of each key the newest record is left"
    assert [fate.state for fate in fates_of(loaded, "/test", "1")[1]] == ["replaced", "learned"]


def test_a_line_that_is_no_label_is_a_dead_letter(loaded: Config, tmp_path: Path) -> None:
    assert loaded.files is not None
    (tmp_path / "labels.jsonl").write_text('{"source": "/test", "id": "0"}\nnonsense\n')
    work(loaded.files)
    letters = (loaded.files.output / "dead-letters.jsonl").read_bytes().splitlines()
    assert [from_line(line).value for line in letters] == [b'{"source": "/test", "id": "0"}', b"nonsense"]


def test_forgetting_an_annotator_leaves_nothing_of_the_events_they_labelled(loaded: Config, tmp_path: Path) -> None:
    assert loaded.files is not None
    send_labels(
        loaded, [said(n, "cat", 2_000 + n, annotator="zoe-the-annotator" if n % 2 else "bob") for n in range(6)]
    )
    work(loaded.files)
    assert len(anchors(loaded.files)) == 6
    shown = RUNNER.invoke(app, ["forget", str(tmp_path / "worker.yaml"), "--annotator", "zoe-the-annotator"])
    assert "would forget 3 events: 3 anchors, 3 labels, 3 waiting events; --yes does it" in shown.output
    assert len(anchors(loaded.files)) == 6
    before = (loaded.files.output / "anchors.jsonl").stat().st_size
    options = ["--annotator", "zoe-the-annotator", "--since", "1970-01-01T00:00:02.003Z", "--yes"]
    done = RUNNER.invoke(app, ["forget", str(tmp_path / "worker.yaml"), *options])
    assert "forgot 2 events" in done.output, done.output
    assert anchors(loaded.files).keys() == {"0", "1", "2", "4"}
    assert (loaded.files.output / "anchors.jsonl").stat().st_size > before, "what is later keeps its place"
    for name in ("anchors.jsonl", "waiting.jsonl"):
        path = loaded.files.output / name
        values = [from_line(line) for line in path.read_bytes().splitlines()]
        for gone in ("3", "5"):
            key = anchor_id_of("/test", gone).encode()
            assert not [one for one in values if one.key is not None and key in one.key and one.value is not None]
    work(loaded.files)
    assert anchors(loaded.files).keys() == {"0", "1", "2", "4"}
    assert fates_of(loaded, "/test", "3")[1][-1].state == "withdrawn"
    again = RUNNER.invoke(app, ["forget", str(tmp_path / "worker.yaml"), *options])
    assert "forgot 0 events" in again.output, again.output


def test_forgetting_beside_a_running_worker_is_refused_before_anything_is_written(
    loaded: Config, tmp_path: Path
) -> None:
    assert loaded.files is not None
    send_labels(loaded, [said(0, "cat", 2_000)])
    work(loaded.files)
    before = (tmp_path / "labels.jsonl").read_text()
    options = ["forget", str(tmp_path / "worker.yaml"), "--event", "0", "--yes"]
    with contextlib.closing(FileSource(loaded.files)) as source, contextlib.closing(FileSink(loaded.files, source)):
        assert "another worker writes" in str(RUNNER.invoke(app, options).exception)
    # Else the worker would delete the anchor itself, and no later `forget` would find what is to be overwritten.
    assert (tmp_path / "labels.jsonl").read_text() == before
    assert "forgot 1 events" in RUNNER.invoke(app, options).output
    again = RUNNER.invoke(app, options)
    assert again.exit_code == 0 and "forgot 0 events" in again.output


def test_who_has_no_name_on_this_machine_may_forget(
    loaded: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr("getpass.getuser", nameless)
    carry_out(loaded, Plan({("/test", "0"): 0}))
    assert json.loads((tmp_path / "labels.jsonl").read_text())["source"] == "stream_adapter/forget/unknown"


def test_what_was_said_by_a_clock_that_is_ahead_is_forgotten_too(loaded: Config, tmp_path: Path) -> None:
    assert loaded.files is not None
    send_labels(loaded, [said(0, "cat", int(time.time() * 1e3) + 200_000)])
    work(loaded.files)
    assert anchors(loaded.files).keys() == {"0"}
    RUNNER.invoke(app, ["forget", str(tmp_path / "worker.yaml"), "--event", "0", "--yes"])
    work(loaded.files)
    assert (anchors(loaded.files), fates_of(loaded, "/test", "0")[1][-1].state) == ({}, "withdrawn")


def test_forget_wants_to_know_which(loaded: Config, tmp_path: Path) -> None:
    assert RUNNER.invoke(app, ["forget", str(tmp_path / "worker.yaml")]).exit_code == 2


def test_events_without_labels_are_forgotten_by_source_or_id(loaded: Config, tmp_path: Path) -> None:
    assert loaded.files is not None
    work(loaded.files)
    options = ["forget", str(tmp_path / "worker.yaml"), "--event", "3", "--event", "4", "--source", "/test"]
    assert "would forget 2 events: 0 anchors, 0 labels, 2 waiting events" in RUNNER.invoke(app, options).output
    assert "would forget 0 events" in RUNNER.invoke(app, [*options[:-1], "/other"]).output
    RUNNER.invoke(app, [*options, "--yes"])
    assert fates_of(loaded, "/test", "3")[0] is None
    assert fates_of(loaded, "/test", "5")[0] is not None


@pytest.mark.parametrize(
    "text",
    [
        "id;Label;annotator;time\n1;cat;ann;2026-05-01T00:00:00Z\n\n2; dog ;;\n",
        '{"id": "1", "label": "cat", "annotator": "ann", "time": "2026-05-01T00:00:00Z"}\n{"id": 2, "label": "dog"}\n',
    ],
)
def test_tables_and_json_lines_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels").write_text(text)
    first, second = read_labels(tmp_path / "labels", source="/camera", annotator="bob")
    assert (first.event_source, first.event_id, first.label, first.annotator) == ("/camera", "1", "cat", "ann")
    assert first.time_ms == 1_777_593_600_000
    assert (second.label, second.annotator) == ("dog", "bob")


def test_whatever_is_wrong_with_a_file_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,label,time\n1,cat,\n2,,\n,dog,\n3,cat,yesterday\n")
    with pytest.raises(TransportError) as caught:
        read_labels(path, source="/camera")
    for says in (
        "line 3: `label` is empty; to take labels back, use --withdraw",
        "line 4",
        "line 5: `time` 'yesterday' is not an RFC 3339 time",
    ):
        assert says in str(caught.value)
    assert [label.label for label in read_labels_of(path, "id\n1\n2\n", withdraw=True)] == [None, None]
    assert read_labels_of(path, '{"id": "1", "label": null}')[0].label is None
    with pytest.raises(TransportError, match=r"line 1: `label` must be a string, found \['cat'\]"):
        read_labels_of(path, '{"id": "1", "label": ["cat"]}')
    for text in ("name,label\n1,cat\n", "", '{"id": "1"}', "{broken", "id,label\n"):
        with pytest.raises(TransportError):
            read_labels_of(path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('id,label\n1,"cat\n2,dog\n3,cow\n', "after line 1: unexpected end of data; is a quote not closed?"),
        ('id,label\n1,cat\n2,"dog"s\n', "after line 2: ',' expected after '\"'"),
        ("id,label\n1,cat\n2,cat, big\n", "line 3: has more fields than line 1: big"),
        ("id,label,Label\n1,cat,dog\n", "line 1 names the column `label` more than once"),
    ],
)
def test_a_table_that_may_mean_something_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TransportError, match=re.escape(said)):
        read_labels_of(tmp_path / "labels.csv", text)


def test_what_a_spreadsheet_leaves_of_empty_columns_is_no_surplus(tmp_path: Path) -> None:
    (label,) = read_labels_of(tmp_path / "labels.csv", "id,label,,\n1,cat,,,\n")
    assert label.label == "cat"


def read_labels_of(path: Path, text: str, **more: Any) -> list[LabelEvent]:
    path.write_text(text)
    return read_labels(path, source="/camera", **more)


def test_labels_are_sent_by_commands(loaded: Config, tmp_path: Path) -> None:
    file = str(tmp_path / "worker.yaml")
    (tmp_path / "labels.csv").write_text("source,id,label\n/test,1,cat\n/test,2,dog\n")
    assert "sent 2 labels" in RUNNER.invoke(app, ["labels", "import", file, str(tmp_path / "labels.csv")]).output
    assert RUNNER.invoke(app, ["labels", "send", file, "/test", "3", "cat", "--annotator", "ann"]).exit_code == 0
    assert RUNNER.invoke(app, ["labels", "send", file, "/test", "3", "--withdraw"]).exit_code == 0
    assert RUNNER.invoke(app, ["labels", "send", file, "/test", "3"]).exit_code == 2
    mistaken = RUNNER.invoke(app, ["labels", "send", file, "/test", "3", "cat", "--time", "now"])
    assert str(mistaken.exception) == "`--time` 'now' is not an RFC 3339 time"
    said = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert {one["source"] for one in said} == {f"stream_adapter/labels/{whoever()}"}
    sent = [one["data"] for one in said]
    assert [(one["id"], one["label"], one.get("annotator")) for one in sent] == [
        ("1", "cat", None),
        ("2", "dog", None),
        ("3", "cat", "ann"),
        ("3", None, None),
    ]


@pytest.mark.parametrize(
    ("command", "part"),
    [
        (("send", "FILE", "\udcff", "1", "cat"), "source"),
        (("send", "FILE", "/test", "\udcff", "cat"), "id"),
        (("send", "FILE", "/test", "1", "\udcff"), "label"),
        (("send", "FILE", "/test", "1", "cat", "--annotator", "\udcff"), "annotator"),
        (("import", "FILE", "TABLE", "--source", "\udcff"), "source"),
        (("show", "FILE", "\udcff", "1"), "source"),
        (("show", "FILE", "/test", "\udcff"), "id"),
    ],
)
def test_arguments_that_are_no_text_are_refused(
    loaded: Config, tmp_path: Path, command: tuple[str, ...], part: str
) -> None:
    (tmp_path / "labels.csv").write_text("id,label\n1,cat\n")
    files = {"FILE": str(tmp_path / "worker.yaml"), "TABLE": str(tmp_path / "labels.csv")}
    done = RUNNER.invoke(app, ["labels", *(files.get(one, one) for one in command)])
    assert isinstance(done.exception, StreamAdapterError)
    assert f"`{part}` is no text" in str(done.exception)
    assert not (tmp_path / "labels.jsonl").exists()


def test_what_to_label_next_is_what_waits_and_has_no_label(loaded: Config, tmp_path: Path) -> None:
    def asked() -> list[str]:
        done = RUNNER.invoke(app, ["labels", "next", str(tmp_path / "worker.yaml"), "--limit", "3", "--json"])
        assert done.exit_code == 0, done.exception
        return [json.loads(line)["id"] for line in done.stdout.splitlines()]

    assert loaded.files is not None
    assert asked() == []
    with pytest.raises(TransportError, match=r"set `files\.labels_file`"):
        what_next(loaded.model_copy(update={"files": loaded.files.model_copy(update={"labels_file": None})}), 3)
    work(loaded.files)
    first = asked()
    assert len(first) == len(set(first)) == 3
    send_labels(loaded, [LabelEvent.new("/test", id, "cat", time_ms=2_000) for id in first])
    work(loaded.files)
    assert len(asked()) == 3 and not set(first) & set(asked())


def test_what_to_label_next_comes_back_with_labels_that_count_from_when_they_are_sent(
    loaded: Config, tmp_path: Path
) -> None:
    assert loaded.files is not None
    work(loaded.files)
    done = RUNNER.invoke(app, ["labels", "next", str(tmp_path / "worker.yaml"), "--limit", "1", "--json"])
    one, before_ms = json.loads(done.stdout), int(time.time() * 1000)
    (label,) = read_labels_of(tmp_path / "labelled.jsonl", json.dumps(one | {"label": "cat"}))
    assert (label.event_source, label.event_id, label.label) == (one["source"], one["id"], "cat")
    assert label.time_ms >= before_ms  # and not when the event was: what is said later replaces it
