"""What `validate` says of a file that is valid by itself."""

from pathlib import Path

import numpy as np
import pytest

from stream_adapter.config import parse
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.encode.vocabulary_file import save_vocabulary
from stream_adapter.operations.validation import Examination, examine

MODEL = "${STREAM_ADAPTER_PACKAGE}/demo/model/small-clip"
ENCODER = f"encoder: {{model: small-clip, model_config_file: '{MODEL}.json', pretrained: '{MODEL}.safetensors'}}\n"
CLASSES = "vocabulary: {classes: [cat, dog, cow, hen]}\n"


def examined(text: str, folder: Path | None = None) -> Examination:
    return examine(parse(text, folder=folder))


def test_nothing_is_said_of_what_is_right_but_what_was_read() -> None:
    found = examined(ENCODER + CLASSES + "adapter: {canaries: [dog]}\ndrift: {groups: {farm: [cow, hen]}}\n")
    assert found == Examination([], ["4 classes: cat, dog, cow, …"])


@pytest.mark.parametrize(
    ("encoder", "problem"),
    [
        ("{model: VitB32, pretrained: openai}", "encoder: open_clip knows no model 'VitB32'; did you mean ViT-B-32"),
        ("{model: ViT-B-32, pretrained: opnai}", "'ViT-B-32' has no weights with the tag 'opnai'; did you mean openai"),
        ("{model: ViT-B-32, pretrained: absent.pt}", "`encoder.pretrained`: there is no checkpoint file absent.pt"),
        (f"{{model: clip, model_config_file: '{MODEL}.json', pretrained: openai}}", "set `model: small-clip`"),
    ],
)
def test_a_model_that_nobody_knows(encoder: str, problem: str) -> None:
    (said,) = examined(f"encoder: {encoder}\n{CLASSES}").problems
    assert problem in said


def test_a_model_on_a_hub_is_not_asked_for() -> None:
    assert examined("encoder: {model: 'hf-hub:no/such'}\n" + CLASSES).problems == []


def test_an_image_tower_alone_needs_vectors(tmp_path: Path) -> None:
    (tmp_path / "tower.safetensors").touch()
    text = "encoder: {model: ViT-B-32, pretrained_image: tower.safetensors}\n"
    (said,) = examined(text + CLASSES, tmp_path).problems
    assert "is an image tower alone" in said
    (tmp_path / "tower.safetensors").unlink()
    assert "there is no file" in examined(text + CLASSES, tmp_path).problems[0]


@pytest.mark.parametrize(
    ("vocabulary", "problem"),
    [
        ("{classes: [cat, dog, cat]}", "1 class names occur more than once: 'cat'"),
        ("{classes: ['a ', a]}", "more than once: 'a', written 'a', 'a '"),
        ("{classes: ['', a]}", "class names at positions [0] are empty"),
        ('{classes: ["a\\x01b", a]}', "hold control characters: 'a\\x01b'"),
        ("{classes: [cat], prompts: {Cat: [x]}}", "describes 'Cat', which is not a class; did you mean 'cat'?"),
        ("{classes_file: absent.txt}", "absent.txt cannot be read"),
        ("{vectors: absent.npz}", "absent.npz cannot be read"),
    ],
)
def test_classes_that_cannot_be(vocabulary: str, problem: str) -> None:
    (said,) = examined(ENCODER + f"vocabulary: {vocabulary}\n").problems
    assert said.startswith("vocabulary: ") and problem in said


def test_the_first_names_of_a_file_are_shown(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("nc: 2\nnames: {0: person, 1: bicycle}\n")
    found = examined(ENCODER + "vocabulary: {classes_file: data.yaml}\n", tmp_path)
    assert found == Examination([], ["2 classes: person, bicycle"])


def test_vectors_of_another_length_are_told(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("cat", "dog"), np.eye(2, 512, dtype=np.float32))
    save_vocabulary(tmp_path / "classes.npz", vocabulary, fingerprint="f")
    text = "encoder: {{model: {}, pretrained: openai}}\nvocabulary: {{vectors: classes.npz}}\n"
    assert examined(text.format("ViT-B-32"), tmp_path).problems == []
    (said,) = examined(text.format("ViT-L-14"), tmp_path).problems
    assert "have shape (2, 512), those of 'ViT-L-14' are (2, 768)" in said


@pytest.mark.parametrize(
    ("sections", "problems"),
    [
        ("adapter: {canaries: [Dog]}", ["adapter.canaries: 'Dog' is not a class; did you mean 'dog'?"]),
        ("adapter: {canaries: [tapir]}", ["adapter.canaries: 'tapir' is not a class"]),
        (
            "adapter: {canaries: [hen, cow, dog, cat]}",
            ["adapter.canaries: every class is a canary, so no label would ever be learned"],
        ),
        ("drift: {groups: {farm: [cow, hens]}}", ["drift.groups.farm: 'hens' is not a class; did you mean 'hen'?"]),
        ("drift: {groups: {a: [cow], b: [cow]}}", ["drift.groups: 'cow' is in more than one group, or named twice"]),
    ],
)
def test_names_elsewhere_are_of_classes(sections: str, problems: list[str]) -> None:
    assert examined(ENCODER + CLASSES + sections + "\n").problems == problems


def test_what_is_the_same_name_is_no_stranger() -> None:
    text = ENCODER + "vocabulary: {classes: [caf\u00e9, dog]}\nadapter: {canaries: [' cafe\u0301']}\n"
    assert examined(text).problems == []


def test_more_names_than_there_are_is_told_and_no_problem() -> None:
    found = examined(ENCODER + CLASSES + "batch: {top_k: 9}\n")
    assert found.problems == []
    assert found.notes[1] == "`batch.top_k` is 9; predictions name all 4 classes"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ("{input: absent, output: out}", "cannot read `files.input` "),
        ("{input: absent, format: folder, output: out}", "absent is not a folder"),
        ("{input: list.csv, output: out}", "list.csv is wrong:\n  - line 2: `path` is missing"),
        ("{input: text.txt, output: out}", "cannot tell what `files.input`"),
    ],
)
def test_an_input_that_is_not_there_or_not_one(tmp_path: Path, files: str, problem: str) -> None:
    (tmp_path / "list.csv").write_text("path,label\n,cat\n")
    (tmp_path / "text.txt").write_text("hello\n")
    text = ENCODER + CLASSES + f"transport: files\nfiles: {files}\n"
    (said,) = examined(text, tmp_path).problems
    assert said.startswith("files: ") and problem in said
    assert examined(text.replace("transport: files", "transport: kafka"), tmp_path).problems == []


def test_all_of_it_is_said_at_once() -> None:
    found = examined(
        "encoder: {model: VitB32, pretrained: openai}\nvocabulary: {classes: [a, a]}\n"
        "transport: files\nfiles: {input: absent, output: out}\n"
    )
    assert [problem.partition(":")[0] for problem in found.problems] == ["encoder", "vocabulary", "files"]


@pytest.mark.parametrize(
    ("more", "problems"),
    [
        ("transport: files\nfiles: {input: ., output: out}", 1),
        ("transport: files\nfiles: {input: ., output: out, labels_file: labels.jsonl}", 0),
        ("labels: {wait_max_events: 0}", 1),
        ("", 0),
    ],
)
def test_what_is_labelled_in_label_studio_must_have_somewhere_to_go(more: str, problems: int, tmp_path: Path) -> None:
    found = examined(f"{ENCODER}{CLASSES}label_studio: {{token: 0123456789abcdef}}\n{more}\n", tmp_path).problems
    assert len(found) == sum("its labels have nowhere to go" in one for one in found) == problems
