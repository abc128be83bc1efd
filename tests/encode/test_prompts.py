from pathlib import Path

import open_clip
import pytest

from stream_adapter.config import VocabularyConfig
from stream_adapter.encode.prompts import class_prompts
from stream_adapter.errors import VocabularyError


def from_file(folder: Path, text: str, name: str = "classes.txt", **settings: object) -> dict[str, tuple[str, ...]]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return class_prompts(VocabularyConfig(classes_file=path, **{"templates": "none", **settings}))


def test_openai_templates_are_open_clips() -> None:
    prompts = class_prompts(VocabularyConfig(classes=("cat", "hot dog")))
    for name in ("cat", "hot dog"):
        assert prompts[name] == tuple(template(name) for template in open_clip.OPENAI_IMAGENET_TEMPLATES)


def test_simple_templates_are_open_clips() -> None:
    prompts = class_prompts(VocabularyConfig(classes=("cat",), templates="simple"))
    assert prompts["cat"] == tuple(template("cat") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES)


def test_without_templates_the_name_stands_alone_and_in_order() -> None:
    prompts = class_prompts(VocabularyConfig(classes=("zebra", " cat "), templates="none"))
    assert list(prompts.items()) == [("zebra", ("zebra",)), ("cat", ("cat",))]


def test_own_templates() -> None:
    prompts = class_prompts(VocabularyConfig(classes=("cat",), templates=("a {}", "{} or {}?")))
    assert prompts["cat"] == ("a cat", "cat or cat?")


def test_braces_in_a_name_and_other_braces_in_a_template_are_just_text() -> None:
    prompts = class_prompts(VocabularyConfig(classes=("{x}",), templates=("a {} of {kind}",)))
    assert prompts["{x}"] == ("a {x} of {kind}",)


@pytest.mark.parametrize(
    ("name", "words"),
    [("great_white_shark", "great white shark"), ("_a__b_", "a b"), ("no_2 ", "no 2"), ("___", "___"), ("a-b", "a-b")],
)
def test_the_prompt_has_words_and_the_label_is_as_it_was(name: str, words: str) -> None:
    config = VocabularyConfig(classes=(name, "cat"), templates=("a {}.",), prompts={name: ("one {}", "a_b")})
    assert class_prompts(config) == {name.strip(): (f"one {words}", "a_b"), "cat": ("a cat.",)}
    kept = config.model_copy(update={"underscores_as_blanks": False, "prompts": {}})
    assert class_prompts(kept) == {name.strip(): (f"a {name.strip()}.",), "cat": ("a cat.",)}


def test_names_are_kept_in_the_form_in_which_labels_are_compared() -> None:
    config = VocabularyConfig(classes=(" cafe\u0301",), templates="none", prompts={"caf\u00e9 ": ("a {}",)})
    assert class_prompts(config) == {"caf\u00e9": ("a caf\u00e9",)}


def test_prompts_for_a_class_in_other_letters_name_it() -> None:
    with pytest.raises(VocabularyError, match="describes 'CAT', which is not a class; did you mean 'cat'"):
        class_prompts(VocabularyConfig(classes=("bat", "cat"), prompts={"CAT": ("x",)}))


@pytest.mark.parametrize("templates", [("a cat",), ("a {}", "a cat"), ()])
def test_a_template_without_a_place_for_the_name_is_refused(templates: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError, match=r"need `\{\}`"):
        class_prompts(VocabularyConfig(classes=("cat",), templates=templates))


def test_prompts_of_a_class_replace_its_templates_and_may_name_it() -> None:
    config = VocabularyConfig(classes=("cat", "dog"), templates="none", prompts={"cat": ("a {} asleep", "a kitten")})
    assert class_prompts(config) == {"cat": ("a cat asleep", "a kitten"), "dog": ("dog",)}


def test_prompts_for_no_class_are_refused_with_the_nearest() -> None:
    with pytest.raises(VocabularyError, match="describes 'cats', which is not a class; did you mean 'cat'"):
        class_prompts(VocabularyConfig(classes=("cat", "dog"), prompts={"cats": ("x",)}))


@pytest.mark.parametrize("texts", [(), ("",), ("a cat", "  ")])
def test_empty_prompts_are_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError, match="class 'cat' has no prompts, or an empty one"):
        class_prompts(VocabularyConfig(classes=("cat",), prompts={"cat": texts}))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((), "no classes"),
        (("cat", " "), r"positions \[1\] are empty"),
        (("", "a"), r"positions \[0\] are empty"),
        (("a", "b", "a"), "more than once: 'a'; a label"),
        (("a", "b", "a "), "more than once: 'a', written 'a', 'a '; a label"),
        (("caf\u00e9", "cafe\u0301"), r"more than once: 'caf\u00e9', written 'cafe\\u0301', 'caf\\xe9'; a label"),
        (("cat", "d\x00g", "a\x1bb"), r"2 class names hold control characters: 'd\\x00g', 'a\\x1bb'"),
    ],
)
def test_names_must_be_there_and_distinct(classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        class_prompts(VocabularyConfig(classes=classes))


def test_a_yaml_file_maps_names_to_prompts(tmp_path: Path) -> None:
    text = "cat: [a kitten, 'a {}']\ndog:\n'no': a sign that says no\n"
    for name in ("classes.yaml", "classes.YML"):
        prompts = from_file(tmp_path, text, name)
        assert prompts == {"cat": ("a kitten", "a cat"), "dog": ("dog",), "no": ("a sign that says no",)}


def test_the_configurations_prompts_win_over_the_files(tmp_path: Path) -> None:
    prompts = from_file(tmp_path, "cat: [old]", "classes.yaml", prompts={"cat": ("new",)})
    assert prompts == {"cat": ("new",)}
