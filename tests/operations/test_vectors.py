"""A stream of vectors from end to end, on files: what a user does who embeds elsewhere."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from numpy.typing import NDArray
from typer.testing import CliRunner

from stream_adapter.cli import app
from stream_adapter.config import load
from stream_adapter.errors import ConfigError, StreamAdapterError
from stream_adapter.service.build import open_worker

D = 16
TEXTS = np.eye(3, D, dtype=np.float32)
NAMES = ["cat", "dog", "cow"]


def pictures(classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """A unit vector near each one's class, float32 (N, d)."""
    noise = np.random.default_rng(0).normal(size=(len(classes), D)) * 0.1
    vectors = TEXTS[classes] + noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, folder / "worker.yaml"
        self.classes = np.arange(30) % 3
        self.vectors = pictures(self.classes)
        np.savez(folder / "classes.npz", class_names=np.array(NAMES), text_vectors=TEXTS)
        self.send(labels=np.array(NAMES)[self.classes])
        self.configure()

    def send(self, **arrays: Any) -> None:
        np.savez(self.folder / "today.npz", **{"vectors": self.vectors, "fingerprint": "theirs"} | arrays)

    def configure(self, options: str = "d: 16, fingerprint: theirs", vocabulary: str = "vectors: classes.npz") -> None:
        self.config.write_text(
            f"transport: files\nencoder: {{type: vectors, options: {{{options}}}}}\nvocabulary: {{{vocabulary}}}\n"
            "files: {input: today.npz, output: results}\nservice: {http: false}\n"
        )

    def run(self, *command: str) -> Result:
        first, *rest = command if command[0] in ("classes", "anchors", "events") else ("", *command)
        words = [first, rest[0], str(self.config), *rest[1:]]
        return CliRunner().invoke(app, [word for word in words if word])

    def work(self) -> None:
        with open_worker(load(self.config)) as worker:
            worker.run()

    def problems(self) -> str:
        error = self.run("validate").exception
        assert isinstance(error, ConfigError)
        return "\n".join(error.problems)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_what_is_no_vector_at_all_is_said_and_stops_nobody(files: Files) -> None:
    np.save(files.folder / "none.npy", np.ones(0, np.float32))
    np.save(files.folder / "no rows.npy", np.ones((0, D), np.float32))
    np.save(files.folder / "no columns.npy", np.ones((2, 0), np.float32))
    np.save(files.folder / "large.npy", np.full(D, 1e300))
    np.savez(files.folder / "several.npz", vectors=files.vectors)
    (files.folder / "several.npz").rename(files.folder / "several.npy")
    np.save(files.folder / "good.npy", files.vectors[0])
    names = ("none", "no rows", "no columns", "large", "several", "good")
    done = files.run("predict", *(str(files.folder / f"{name}.npy") for name in names), "--json")
    assert isinstance(done.exception, SystemExit) and done.exit_code == 1, done.exception
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(one["file"]).stem for one in said] == list(names)
    assert [one.get("error", "").partition(", found ")[2] for one in said[:3]] == [
        "float32 (0,)",
        "float32 (0, 16)",
        "float32 (2, 0)",
    ]
    assert said[3]["error"].startswith("16 of 16 values are not finite")
    assert said[4]["error"].endswith("found several")
    assert said[5]["top"]


def test_vectors_go_through_a_worker_and_are_asked_about(files: Files) -> None:
    assert files.run("validate").stdout.splitlines()[-1] == "3 classes: cat, dog, cow"
    assert "30 events, 0 refused" in files.run("events", "try", "--limit", "99").stdout
    files.work()
    said = [json.loads(line) for line in (files.folder / "results/predictions.jsonl").read_text().splitlines()]
    assert len({one["event"]["id"] for one in said}) == 30
    assert {one["versions"]["encoder"] for one in said} == {"theirs"}
    assert len(files.run("anchors", "list", "--json").stdout.splitlines()) == 30

    np.save(files.folder / "one.npy", files.vectors[1])
    np.save(files.folder / "three.npy", files.vectors[:3].astype(np.float16))
    names = [str(files.folder / name) for name in ("one.npy", "three.npy")]
    asked = files.run("predict", *names, "--json")
    answers = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [one["top"][0]["label"] for one in answers] == ["dog", "cat", "dog", "cow"]
    assert [one["file"] for one in answers] == [names[0], *(f"{names[1]}[{row}]" for row in range(3))]
    assert asked.exit_code == 0


def test_tomorrow_s_file_of_the_same_name_is_read_and_today_s_is_not_read_twice(files: Files) -> None:
    def seen() -> int:
        files.work()
        return len((files.folder / "results/predictions.jsonl").read_text().splitlines())

    assert [seen(), seen()] == [30, 30]
    files.vectors = files.vectors[::-1][:20]
    files.send()
    assert seen() == 50
    assert len(files.run("anchors", "list", "--json").stdout.splitlines()) == 30, "the same pictures, by their vectors"


def test_what_cannot_be_used_is_said_for_each(files: Files) -> None:
    np.save(files.folder / "long.npy", np.ones(17, np.float32))
    np.save(files.folder / "texts.npy", np.array(["a"]))
    np.save(files.folder / "objects.npy", np.array([{}], object))
    np.save(files.folder / "two.npy", np.stack([files.vectors[0], np.full(D, np.nan)]))
    (files.folder / "a.jpg").write_bytes(b"a picture")
    names = [
        str(files.folder / name) for name in ("long.npy", "texts.npy", "objects.npy", "two.npy", "a.jpg", "no.npy")
    ]
    asked = files.run("predict", *names, "--json")
    assert asked.exit_code == 1
    errors = [json.loads(line).get("error", "") for line in asked.stdout.splitlines()]
    wanted = [
        "has 68 bytes",
        "expected numbers",
        "allow_pickle",
        "",
        "16 of 16 values are not finite",
        "'.jpg'",
        "No such file or directory",
    ]
    for error, part in zip(errors, wanted, strict=True):
        assert part in error
        assert bool(error) == bool(part)


def test_a_class_is_added_by_its_vector(files: Files) -> None:
    said = files.run("classes", "add", "hen").exception
    assert isinstance(said, StreamAdapterError)
    assert "give it with `--vector FILE`" in str(said)
    np.save(files.folder / "hen.npy", np.eye(4, D, dtype=np.float32)[3])
    assert files.run("classes", "add", "hen", "--vector", str(files.folder / "hen.npy")).exit_code == 0
    files.vectors = np.eye(4, D, dtype=np.float32)[[3]]
    files.send(labels=np.array(["hen"]))
    files.work()
    assert "hen" in files.run("anchors", "list").stdout


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"options": "d: 15, fingerprint: theirs"}, "have length 16, the encoder's have 15"),
        ({"options": "fingerprint: theirs"}, "encoder.options.d: required"),
        ({"vocabulary": "classes: [cat, dog]"}, "cannot embed the names of classes; set `vocabulary.vectors`"),
        ({"vocabulary": "vectors: no.npz"}, "cannot be read as .npz"),
    ],
)
def test_slips_are_found_before_a_worker_runs(files: Files, change: dict[str, str], problem: str) -> None:
    files.configure(**change)
    assert problem in files.problems()


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"fingerprint": np.array(["a", "b"])}, "fingerprint must be one text"),
        ({"vectors": np.zeros(3, np.float32)}, "vectors must be numbers (N, d), found float32 (3,)"),
        ({"vectors": np.zeros((0, D), np.float32)}, "vectors must be numbers (N, d)"),
        ({"labels": np.array(["cat"])}, "labels must be texts or integers (30,)"),
        ({"labels": np.zeros(30, np.int64)}, "labels are numbers; then class_names"),
        ({"labels": np.full(30, 3), "class_names": np.array(NAMES)}, "an index of one of the 3 class_names"),
        ({"ids": np.array(["\ud800"] * 30)}, "hold what is no text"),
        ({"labels": np.full(30, 0x200000, "<u4").view("<U1")}, "hold what is no text"),
        ({"fingerprint": "\ud800"}, "hold what is no text"),
        ({"ids": np.zeros(30)}, "ids must be texts or integers (30,), found float64"),
    ],
)
def test_a_file_that_is_none_is_found_before_a_worker_runs(files: Files, arrays: dict[str, Any], problem: str) -> None:
    files.send(**arrays)
    assert problem in files.problems()


def test_files_that_lack_what_is_needed(files: Files) -> None:
    np.savez(files.folder / "today.npz", vectors=files.vectors)
    assert "lacks fingerprint" in files.problems()
    (files.folder / "today.npz").write_bytes(b"nothing")
    assert "cannot be read as vectors" in files.problems()


def test_labels_may_be_numbers_ids_given_and_vectors_of_another_encoder_are_refused(files: Files) -> None:
    labels = np.where(files.classes == 2, -1, files.classes)
    files.send(labels=labels, class_names=np.array(NAMES), ids=np.arange(100, 130))
    found = [json.loads(line) for line in files.run("events", "try", "--json").stdout.splitlines()]
    assert [one["id"] for one in found[:3]] == ["100", "101", "102"]
    assert [one["label"] for one in found[:3]] == ["cat", "dog", None]
    files.send(fingerprint="others")
    tried = files.run("events", "try")
    assert tried.exit_code == 1
    assert "made by encoder 'others'" in tried.stdout


def test_none_of_it_needs_open_clip(files: Files) -> None:
    np.save(files.folder / "one.npy", files.vectors[1])
    program = (
        "import sys; sys.modules.update(torch=None, open_clip=None); from stream_adapter.cli import app\n"
        "for command in (['validate'], ['events', 'try'], ['predict'], ['classes', 'list']):\n"
        "    app([*command, 'worker.yaml', *(['one.npy'] if command == ['predict'] else [])], standalone_mode=False)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=files.folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "dog" in done.stdout


def test_the_example_in_the_docs_works(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs/configuration.md").read_text()
    section = page[page.index("### A stream of vectors") :]
    config, program = (re.findall(rf"^```{kind}\n(.*?)^```$", section, re.M | re.S)[0] for kind in ("yaml", "python"))
    monkeypatch.chdir(files.folder)
    texts = np.eye(3, 512, dtype=np.float32)
    exec(program, {"texts": texts, "vectors": texts[[0, 1, 2, 0]], "names": NAMES, "labels": [*NAMES, ""]})
    files.config.write_text(f"transport: files\nfiles: {{input: today.npz, output: results/}}\n{config}")
    assert files.run("validate").exit_code == 0
    files.work()
    assert len(files.run("anchors", "list", "--json").stdout.splitlines()) == 3
    assert json.loads(files.run("predict", "one.npy", "--json").stdout)["top"][0]["label"] == "cat"
