"""The commands on classes, on files: what they write is what a worker reads."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from stream_adapter import config
from stream_adapter.cli import app
from stream_adapter.config import Config
from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, WEIGHTS
from stream_adapter.encode.loading import ClassTexts
from stream_adapter.errors import VocabularyError
from stream_adapter.operations import classes
from stream_adapter.operations.anchors import read_anchors
from stream_adapter.service.build import open_worker
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import read_all
from tests.operations.anchor_records import record as anchor_record


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "pictures" / "a").mkdir(parents=True)
    (tmp_path / "pictures" / "a" / "one.jpg").write_bytes(b"?")
    document = {
        "transport": "files",
        "files": {"input": str(tmp_path / "pictures"), "output": str(tmp_path / "results")},
        "encoder": {"model": MODEL_NAME, "model_config_file": str(CONFIG), "pretrained": str(WEIGHTS)},
        "vocabulary": {"classes": ["red circle", "blue star"], "templates": "simple"},
        "adapter": {"canaries": ["blue star"]},
    }
    path = tmp_path / "worker.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def run(file: Path, command: str, *arguments: str, fails: bool = False) -> str:
    done = CliRunner().invoke(app, ["classes", command, str(file), *arguments])
    assert (done.exit_code != 0) == fails, done.output
    return str(done.exception) if fails else done.output


def states(file: Path) -> dict[str, str]:
    lines = [json.loads(line) for line in run(file, "list", "--json").splitlines()]
    flags = {True: "canary", False: ""}
    return {one["name"]: " ".join(filter(None, (one["state"], one["alias_of"], flags[one["canary"]]))) for one in lines}


def loaded(file: Path) -> Config:
    return config.load(file)


def test_a_class_is_added_with_the_vector_that_the_configured_model_makes(file: Path) -> None:
    assert "added yellow diamond, café" in run(file, "add", "yellow diamond", "cafe\u0301", "--canary")
    assert states(file) == {
        "red circle": "class",
        "blue star": "class canary",
        "yellow diamond": "class canary",
        "café": "class canary",
    }
    said = classes.KnownClasses(loaded(file)).said
    of = loaded(file)
    (expected,) = ClassTexts(of.encoder, of.vocabulary)([("yellow diamond", None)])
    np.testing.assert_allclose(said["yellow diamond"].vector, expected, atol=1e-6)
    assert "is a class already" in run(file, "add", "red circle", fails=True)


def test_prompts_and_files_give_the_text_and_replace_keeps_it(file: Path, tmp_path: Path) -> None:
    vector = np.eye(1, len(classes._encode(loaded(file), ["x"], None)[0]))[0]
    np.save(tmp_path / "v.npy", vector)
    run(file, "add", "kite", "--vector", str(tmp_path / "v.npy"))
    run(file, "add", "kite", "--replace", "--canary")
    kite = classes.KnownClasses(loaded(file)).said["kite"]
    assert kite.vector is not None and kite.vector.tolist() == vector.tolist() and kite.canary
    run(file, "add", "red circle", "--replace", "--prompt", "a crimson {}")
    run(file, "add", "blue star", "--replace", "--no-canary")
    said = classes.KnownClasses(loaded(file)).said
    assert said["red circle"].vector is not None
    assert said["blue star"].vector is None and said["blue star"].canary is False, "it keeps the configured text"
    np.save(tmp_path / "v.npy", 2 * vector)
    assert "must be a unit vector" in run(file, "add", "bow", "--vector", str(tmp_path / "v.npy"), fails=True)
    assert "--vector" in run(file, "add", "bow", "arrow", "--vector", str(tmp_path / "v.npy"), fails=True)


def test_a_vector_that_is_of_another_model_or_not_real_is_refused(file: Path, tmp_path: Path) -> None:
    vector = str(tmp_path / "v.npy")
    np.save(vector, np.eye(1, 8)[0])
    run(file, "add", "kite", "--vector", vector)  # nothing says yet how long vectors are
    np.save(vector, np.eye(1, 9)[0])
    said = run(file, "add", "bow", "--vector", vector, fails=True)
    assert "has 9 numbers, those of the classes that were added before have 8" in said
    run(file, "add", "kite", "--vector", vector, "--replace")  # what was wrong alone can be mended
    np.save(vector, np.eye(1, 9)[0].astype(np.complex64))
    assert "must be real numbers, found complex64" in run(file, "add", "bow", "--vector", vector, fails=True)

    document = yaml.safe_load(file.read_text())
    np.savez(tmp_path / "classes.npz", class_names=np.array(["a", "b"]), text_vectors=np.eye(2, 8, dtype=np.float32))
    document["vocabulary"], document["adapter"] = {"vectors": str(tmp_path / "classes.npz")}, {}
    file.write_text(yaml.safe_dump(document))
    np.save(vector, np.eye(1, 9)[0])
    assert "those of `vocabulary.vectors` have 8" in run(file, "add", "bow", "--vector", vector, fails=True)
    document["encoder"] = {"type": "vectors", "options": {"d": 10, "fingerprint": "f"}}
    file.write_text(yaml.safe_dump(document))
    assert "those of `encoder.options.d` have 10" in run(file, "add", "bow", "--vector", vector, fails=True)
    assert list(classes.KnownClasses(loaded(file)).said) == ["kite"]


def test_without_a_text_tower_it_says_what_to_give(file: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(file.read_text())
    run(file, "build", "--output", str(tmp_path / "classes.npz"))
    document["vocabulary"] = {"vectors": str(tmp_path / "classes.npz")}
    document["encoder"]["pretrained_image"] = document["encoder"].pop("pretrained")
    file.write_text(yaml.safe_dump(document))
    assert "'kite' needs a text vector, give it with `--vector FILE`" in run(file, "add", "kite", fails=True)


def test_a_class_is_renamed_there_and_back(file: Path) -> None:
    run(file, "rename", "red circle", "crimson circle")
    assert states(file) == {
        "red circle": "alias crimson circle",
        "blue star": "class canary",
        "crimson circle": "class",
    }
    assert "only another name of 'crimson circle'" in run(file, "remove", "red circle", "--yes", fails=True)
    run(file, "rename", "crimson circle", "disc")
    assert states(file)["red circle"] == "alias disc"
    run(file, "rename", "disc", "red circle")
    assert states(file)["red circle"] == "class" and states(file)["disc"] == "alias red circle"
    assert classes.KnownClasses(loaded(file)).said["red circle"].text_of == "red circle"
    run(file, "rename", "blue star", "star")
    assert states(file)["star"] == "class canary"
    assert "is a class already; `stream-adapter classes merge`" in run(file, "rename", "star", "red circle", fails=True)
    assert "is not a class; did you mean 'star'" in run(file, "rename", "stars", "x", fails=True)


def test_merging_and_removing_say_what_becomes_of_anchors(file: Path) -> None:
    run(file, "add", "kite")
    transport_of(loaded(file)).write([anchor_record(n, "kite").to_record("w") for n in range(3)])
    assert "into itself" in run(file, "merge", "kite", "--into", "kite", fails=True)
    run(file, "merge", "kite", "--into", "red circle")
    assert "removed red circle (3 anchors)" in run(file, "remove", "red circle", "--yes")
    assert states(file)["kite"] == "lost red circle"
    assert "no class would be left" in run(file, "remove", "blue star", "--yes", fails=True)
    assert "3 anchors of the former class 'kite' are not renamed yet" in run(file, "add", "kite", fails=True)
    done = CliRunner().invoke(app, ["classes", "remove", str(file), "blue star"], input="n\n")
    assert done.exit_code == 1 and states(file)["blue star"] == "class canary"


def test_what_a_removed_class_learned_is_gone_with_the_next_run_however_short(file: Path) -> None:
    file.write_text(file.read_text() + "service: {port: 0}\n")
    vectors = np.eye(2, 128, dtype=np.float32)
    anchors = [replace(anchor_record(n, "red circle"), vector=vectors[n]) for n in range(2)]
    transport_of(loaded(file)).write([anchor.to_record("w") for anchor in anchors])
    run(file, "add", "kite")
    run(file, "remove", "red circle", "--yes")
    assert len(read_anchors(loaded(file))) == 2
    with open_worker(loaded(file)) as worker:
        worker.run()
    assert read_anchors(loaded(file)) == {}


def test_a_circle_of_aliases_is_shown_and_hurts_nobody(file: Path) -> None:
    from stream_adapter.events.class_record import ClassRecord

    for name, other in (("a", "b"), ("b", "a")):
        transport_of(loaded(file)).write([ClassRecord(name, alias_of=other).to_record()])
    assert states(file)["a"].startswith("lost")
    with pytest.raises(VocabularyError, match="only another name"):
        classes.remove_classes(loaded(file), ["a"])


def test_a_line_that_somebody_did_not_finish_is_cut_off(file: Path) -> None:
    run(file, "rename", "red circle", "disc")
    path = file.parent / "results" / "classes.jsonl"
    path.write_bytes(path.read_bytes() + b'{"torn')
    run(file, "rename", "disc", "circle")
    assert len(list(read_all(transport_of(loaded(file)), "classes"))) == 4
