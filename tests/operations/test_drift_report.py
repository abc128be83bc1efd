"""The page from what a real monitor said about a stream with harm, other pictures and a newcomer."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from stream_adapter.cli import app
from stream_adapter.config import Config, parse
from stream_adapter.drift.alarm import DriftAlarm
from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.settings import DriftSettings
from stream_adapter.errors import TransportError
from stream_adapter.events.drift import DriftEvent
from stream_adapter.operations.drift_report import write_drift_report
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.recorded import to_line

CLASSES = ["cat", "dog", "<script>", "fish"]
ANCHORS = np.array([True, True, False, False])
CANARY = np.array([False, False, False, True])
START_MS = 1_767_225_600_000  # 2026-01-01
YAML = (
    "transport: files\nencoder: {{pretrained: x}}\nvocabulary: {{classes: [cat]}}\nfiles: {{input: in, output: '{}'}}\n"
)


def _events() -> list[DriftEvent]:
    """Two minutes a batch: fish is harmed from batch 10 on, "<script>" turns up in batch 40, pictures change in 60."""
    rng = np.random.default_rng(0)
    settings = DriftSettings(reference_events=64, sample_every=1, release_labels=300)
    monitor = DriftMonitor(CLASSES, 100.0, CANARY, settings)
    events = []
    for batch in range(70):
        tops = rng.choice([0, 1, 3], 64, p=[0.4, 0.4, 0.2])
        if batch >= 40:
            tops[::16] = 2
        confidence = rng.uniform(0.8, 0.95, 64)[:, None]
        zero_shot = (confidence * np.eye(4)[tops] + (1 - confidence) / 4).astype(np.float32)
        harmed = (tops == 3) & (rng.random(64) < 0.5) & (10 <= batch < 30)
        adapted = np.where(harmed[:, None], np.eye(4, dtype=np.float32)[0], zero_shot)
        alarms = monitor.observe(
            vectors=rng.standard_normal((64, 8)).astype(np.float32) + np.float32(2.0 * (batch >= 60)),
            zero_shot=zero_shot,
            adapted=adapted,
            has_anchor=ANCHORS,
            presence=np.ones(len(CLASSES), np.float32),
            novelty=rng.uniform(0.0, 0.3, 64).astype(np.float32),
            nearest_cosine=rng.uniform(0.8, 0.9, 64).astype(np.float32),
            event_ids=[f"event-{batch}-{row}" for row in range(64)],
            labels=np.where(tops == 2, -1, tops),
        )
        alarms += monitor.report()
        events += [DriftEvent(alarm, START_MS + batch * 120_000, "worker-0") for alarm in alarms]
    return events


@pytest.fixture(scope="module")
def events() -> list[DriftEvent]:
    return _events()


def _write(path: Path, events: list[DriftEvent]) -> None:
    with path.open("wb") as lines:
        for offset, event in enumerate(events):
            record = event.to_record()
            lines.write(
                to_line(Record(Partition("drift", 0), offset, event.time_ms, record.key, record.value, record.headers))
            )


def _config(folder: Path) -> Config:
    return parse(YAML.format(folder))


def _page(folder: Path, events: list[DriftEvent], hours: float = 24.0) -> str:
    _write(folder / "drift.jsonl", events)
    write_drift_report(_config(folder), folder / "drift.html", hours=hours)
    return (folder / "drift.html").read_text()


class _Collector(HTMLParser):
    """The text of every element of one name."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag, self.depth = tag, 0
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == self.tag:
            self.depth += 1
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == self.tag

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.found[-1] += data


def _text(page: str, tag: str) -> list[str]:
    collector = _Collector(tag)
    collector.feed(page)
    return collector.found


def test_the_monitor_found_all_of_it(events: list[DriftEvent]) -> None:
    kinds = {event.alarm.kind for event in events}
    assert {"harm", "guard", "new_class", "embedding", "status"} <= kinds


def test_the_page_shows_it(tmp_path: Path, events: list[DriftEvent]) -> None:
    page = _page(tmp_path, events)
    assert len(page) < 1_000_000
    assert _text(page, "script") == []
    assert "until 2026-01-01T02:18:00" in _text(page, "h1")[0]
    plots = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    labels = [plot.attrib["aria-label"] for plot in plots]
    assert labels[0] == "Alarms over time"
    assert {"Harm on overall over time", "Harm on fish over time", "Share of novel events over time"} <= set(labels)
    assert {"Accuracy on unseen classes over time", "Accuracy on seen classes over time"} <= set(labels)
    marks = [element for element in plots[0] if (element.get("class") or "").startswith("mark")]
    assert len(marks) == sum(event.alarm.kind != "status" for event in events)
    assert sum(mark.tag == "polygon" for mark in marks) == sum(event.alarm.action != "none" for event in events)
    cells = _text(page, "td")
    assert "<script>" in cells  # the class that turned up, escaped
    assert any("event-40-16" in cell for cell in cells)
    assert not re.search(r"(src|href)=", page)


def test_only_the_last_hours_are_shown(tmp_path: Path, events: list[DriftEvent]) -> None:
    page = _page(tmp_path, events, hours=1.0)
    assert "harm" not in _text(page, "td")
    assert "embedding" in _text(page, "td")


def test_a_quiet_day_is_a_page_too(tmp_path: Path) -> None:
    page = _page(tmp_path, [])
    assert "Nothing happened." in page
    assert "<svg" not in page


def test_not_enough_evidence_is_no_number(tmp_path: Path) -> None:
    status = DriftAlarm("status", "unseen", "accuracy", observed=3, labels=3, enough=False)
    page = _page(tmp_path, [DriftEvent(status, START_MS, "w")])
    assert "No group has labels enough." in page


def test_what_is_no_drift_event_is_counted(tmp_path: Path, events: list[DriftEvent]) -> None:
    _write(tmp_path / "drift.jsonl", events[-1:])
    with (tmp_path / "drift.jsonl").open("ab") as lines:
        lines.write(to_line(Record(Partition("drift", 0), 1, 0, None, b"{}", ())))
    write_drift_report(_config(tmp_path), tmp_path / "drift.html", hours=24)
    assert "1 records that could not be read" in (tmp_path / "drift.html").read_text()


def test_half_a_character_from_outside_ends_no_report(tmp_path: Path) -> None:
    """JSON's escapes can make one."""
    _write(tmp_path / "drift.jsonl", [])
    record = DriftEvent(DriftAlarm("label_mix", "half", "d", observed=3, labels=3), START_MS, "w").to_record()
    value = (record.value or b"").replace(b'"half"', rb'"\ud800"')
    with (tmp_path / "drift.jsonl").open("ab") as lines:
        lines.write(to_line(Record(Partition("drift", 0), 0, 0, record.key, value, record.headers)))
    assert write_drift_report(_config(tmp_path), tmp_path / "drift.html", hours=24) == 1
    assert "label mix" in (tmp_path / "drift.html").read_text()


def test_workers_have_lines_of_their_own(tmp_path: Path, events: list[DriftEvent]) -> None:
    others = [DriftEvent(event.alarm, event.time_ms, "worker-1") for event in events]
    assert "published, worker-1" in _page(tmp_path, events + others)


def test_without_a_file_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"drift\.jsonl.*did a worker run"):
        write_drift_report(_config(tmp_path), tmp_path / "drift.html", hours=24)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "drift.jsonl").write_text("{\n")
    with pytest.raises(TransportError, match="line 1"):
        write_drift_report(_config(tmp_path), tmp_path / "drift.html", hours=24)


def test_the_command_writes_the_page(tmp_path: Path, events: list[DriftEvent]) -> None:
    _write(tmp_path / "drift.jsonl", events)
    (tmp_path / "config.yaml").write_text(YAML.format(tmp_path))
    output = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["drift", "report", str(tmp_path / "config.yaml"), "--output", str(output)])
    assert result.exit_code == 0, result.output
    assert output.read_text().startswith("<!doctype html>")
