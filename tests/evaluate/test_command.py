"""The `evaluate` commands as a user calls them."""

import html.parser
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from stream_adapter.cli import main
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.command import Request, _evaluation, parts, share_or_names, whole_numbers
from stream_adapter.evaluate.features import read_features, save_features
from stream_adapter.evaluate.stream import StreamSettings
from tests.evaluate.data import make_features

ROWS = {"method", "group", "domain", "accuracy", "ece", "nll", "brier", "before", "per_seed"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_features(tmp_path / "made.npz", make_features(120))
    return tmp_path / "made.npz"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["stream-adapter", "evaluate", *map(str, arguments)])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


class Page(html.parser.HTMLParser):
    """Finds what a page loads from elsewhere, and whether its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.figures = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "line", "circle", "rect", "polygon", "br"}:
            self.open.append(tag)
        self.figures += tag == "svg"
        self.loaded += [value for name, value in attributes if name in {"src", "href"} and value]

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def check_page(path: Path, figures: int) -> None:
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.loaded == []
    assert page.figures == figures
    assert "<script" not in text
    assert "prefers-color-scheme: dark" in text
    assert len(text) < 1_000_000


def test_a_stream_with_both_reports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, file: Path
) -> None:
    report_file, page_file = tmp_path / "report.json", tmp_path / "report.html"
    options = (
        "--methods",
        "knn,default",
        "--seeds",
        "2",
        "--json",
        report_file,
        "--html",
        page_file,
        "--label-noise",
        "0.1",
    )
    assert run(monkeypatch, "stream", file, *options) == 0
    shown = capsys.readouterr().out
    for word in ("zero-shot", "knn", "default", "labelled", "canary", "photo"):
        assert word in shown
    report: dict[str, Any] = json.loads(report_file.read_text())
    assert report["protocol"] == "stream"
    assert report["settings"]["label_noise"] == 0.1
    assert {"stream_adapter", "numpy", "torch", "python"} <= set(report["versions"])
    assert {row["method"] for row in report["results"]} == {"zero-shot", "knn", "default"}
    assert {row["group"] for row in report["results"]} == {"labelled", "canary"}
    assert {row["domain"] for row in report["results"]} == {"all", "photo", "cartoon"}
    for row in report["results"]:
        assert set(row) >= ROWS
        accuracy = row["accuracy"]
        assert 0.0 <= accuracy["low"] <= accuracy["mean"] <= accuracy["high"] <= 1.0
        assert len(row["per_seed"]) == 2
        assert {"windowed", "faded"} <= set(row)
    assert len(report["seconds"]["default"]) == 2
    assert len(report["held_out"]) == 2
    check_page(page_file, figures=5)
    page = page_file.read_text()
    for heading in (
        "What is gained",
        "over the stream",
        "changed predictions",
        "Confusion that default fixed",
        "Reliability",
    ):
        assert heading in page


@pytest.mark.parametrize("wrong", [False, True])
def test_near_copies_with_both_reports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, file: Path, wrong: bool
) -> None:
    report_file, page_file = tmp_path / "report.json", tmp_path / "report.html"
    options = ["--order", "cameras", "--copies", "20", "--sources", "2", "--camera-classes", "2", "--spread", "0.9"]
    options += ["--copies-wrong"] * wrong
    options += ["--methods", "knn,slda,default", "--seeds", "2", "--json", str(report_file), "--html", str(page_file)]
    assert run(monkeypatch, "stream", file, *options) == 0
    shown = " ".join(capsys.readouterr().out.split())
    report: dict[str, Any] = json.loads(report_file.read_text())
    assert report["protocol"] == "stream"
    assert report["settings"]["order"] == "cameras"
    assert report["settings"]["camera_classes"] == 2
    rows = {(row["method"], row["group"]): row for row in report["copies"]}
    assert set(rows) == {(m, g) for m in ("zero-shot", "knn", "slda", "default") for g in ("all", "seen", "not seen")}
    for row in rows.values():
        assert {"before", "after"} <= set(row)
        assert ("deleted" in row) == wrong
        worst = row["after"]["worst_class"]
        assert worst["events"] > 0
        assert worst["change"] <= row["after"]["change"] + 1e-6, "no class did worse than the worst"
    assert rows["knn", "seen"]["events"] + rows["knn", "not seen"]["events"] == rows["knn", "all"]["events"] == 2 * 116
    groups = {row["group"] for row in report["results"] if row["method"] == "knn"}
    assert groups == {"before", "after"} | ({"deleted"} if wrong else set())
    page = page_file.read_text()
    for word in ("classes that had cameras", "classes that had none"):
        assert word in shown
        assert word in page
    assert ("cannot forget" in page) == ("cannot forget" in shown) == wrong
    if wrong:
        assert rows["slda", "all"]["deleted"] is None
        assert rows["knn", "all"]["deleted"] == rows["knn", "all"]["before"], "it had learned nothing else"
    check_page(page_file, figures=0)


def test_a_run_is_repeatable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path) -> None:
    found = []
    for name in ("first.json", "second.json"):
        assert (
            run(monkeypatch, "stream", file, "--methods", "default,rail", "--seeds", "1", "--json", tmp_path / name)
            == 0
        )
        found.append(json.loads((tmp_path / name).read_text())["results"])
    assert found[0] == found[1]


def test_few_shot_with_both_reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path) -> None:
    report_file, page_file = tmp_path / "report.json", tmp_path / "report.html"
    options = ("--methods", "tip-adapter", "--shots", "1,4", "--seeds", "2", "--json", report_file, "--html", page_file)
    assert run(monkeypatch, "few-shot", file, *options) == 0
    results = json.loads(report_file.read_text())["results"]
    assert {row["shots"] for row in results} == {1, 4}
    assert {row["group"] for row in results} >= {"seen", "unseen", "harmonic"}
    check_page(page_file, figures=3)


@pytest.mark.parametrize("by", ["class", "domain"])
def test_incremental_with_both_reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path, by: str) -> None:
    report_file, page_file = tmp_path / "report.json", tmp_path / "report.html"
    options = (
        "--by",
        by,
        "--methods",
        "slda",
        "--seeds",
        "2",
        "--tasks",
        "3",
        "--json",
        report_file,
        "--html",
        page_file,
    )
    assert run(monkeypatch, "incremental", file, *options) == 0
    results = json.loads(report_file.read_text())["results"]
    assert {row["group"] for row in results} == {"transfer", "average", "last", "forgetting"}
    check_page(page_file, figures=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--methods", "tip-adaptr"), "did you mean tip-adapter"),
        (("--methods", "xyzzy"), "known are zero-shot"),
        (("--methods", ","), "no method was named"),
        (("--canaries", "cat,fox"), "not in the vocabulary of made.npz: fox"),
        (("--canaries", "1.5"), "between 0 and 1, found 1.5"),
        (("--methods", "ours"), "unknown method 'ours'"),
        (("--copies", "10"), "--copies does not fit --order shuffled: there are copies with --order cameras alone"),
        (("--order", "cameras", "--canaries", "cat"), "--canaries does not fit --order cameras: there are no canaries"),
        (("--order", "cameras", "--camera-classes", "some"), "a whole number from 1 on, or all; found 'some'"),
        (("--order", "cameras", "--camera-classes", "7"), "has 6 classes with at least two pictures"),
        (("--order", "recorded", "--canaries-after", "0.5"), "out of the file's order"),
        (("--canary-labels", "1", "--canaries", "0"), "there are no canaries"),
        (("--json", "absent/report.json"), "the folder of absent/report.json does not exist"),
    ],
)
def test_what_is_wrong_is_said_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path, options: tuple[str, ...], said: str
) -> None:
    assert run(monkeypatch, "stream", file, "--seeds", "1", *options) == 1
    assert said in " ".join(capsys.readouterr().err.split())


def test_pictures_need_a_configuration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "stream", tmp_path) == 1
    assert "--config" in capsys.readouterr().err


def test_lists_on_the_command_line() -> None:
    assert parts(" a, b ,,c") == ("a", "b", "c")
    assert share_or_names("0.3") == 0.3
    assert share_or_names("cat, house") == ("cat", "house")
    assert whole_numbers("1,4,16", "--shots") == (1, 4, 16)
    for wrong in ("", "1,x", "0", "1.5", "-1"):
        with pytest.raises(EvaluationError, match="--shots"):
            whole_numbers(wrong, "--shots")


@pytest.mark.slow
def test_drawn_pictures_are_embedded_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The small CLIP that ships with the package, on a folder of pictures that it knows."""
    from PIL import Image

    model = "${STREAM_ADAPTER_PACKAGE}/demo/model/small-clip"
    config = tmp_path / "worker.yaml"
    config.write_text(
        f"encoder: {{model: small-clip, model_config_file: '{model}.json', pretrained: '{model}.safetensors'}}\n"
        "vocabulary: {classes: [red circle, blue star], templates: simple}\n"
    )
    random = np.random.default_rng(0)
    for name, colour in (("red circle", (220, 30, 30)), ("blue star", (30, 30, 220)), ("green dot", (30, 220, 30))):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(8):
            pixels = np.clip(np.array(colour) + random.integers(-20, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    (tmp_path / "pictures" / "red circle" / "broken.png").write_bytes(b"no picture")
    kept = tmp_path / "kept.npz"
    options = (
        "--config",
        config,
        "--methods",
        "knn",
        "--seeds",
        "1",
        "--canaries",
        "blue star",
        "--save-features",
        kept,
    )
    assert run(monkeypatch, "stream", tmp_path / "pictures", *options) == 0
    features = read_features(kept)
    assert np.bincount(features.labels + 1).tolist() == [8, 8, 8], "the class that the vocabulary lacks is kept as −1"


def test_methods_are_told_that_labels_are_asked_for(file: Path) -> None:
    request = Request(file, None, None, "default", 1, 1, None, None)
    for select, labels in (("next", "chosen"), ("random", "sampled")):
        settings = StreamSettings(select=select)  # type: ignore[arg-type]
        assert _evaluation(request, settings, Console()).adapter.labels == labels
