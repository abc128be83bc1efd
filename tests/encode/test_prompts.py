from pathlib import Path

import open_clip
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    [((), "no classes"), (("cat", " "), r"positions \[1\] are empty"), (("a", "b", "a "), "more than once: 'a'")],
)
def test_names_must_be_there_and_distinct(classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        class_prompts(VocabularyConfig(classes=classes))


def test_a_text_file_has_one_name_a_line(tmp_path: Path) -> None:
    text = "\ufeff# animals\ncat\r\n\n  hot dog  \nC# book\n"
    assert list(from_file(tmp_path, text)) == ["cat", "hot dog", "C# book"]


def test_a_yaml_file_maps_names_to_prompts(tmp_path: Path) -> None:
    text = "cat: [a kitten, 'a {}']\ndog:\n'no': a sign that says no\n"
    for name in ("classes.yaml", "classes.YML"):
        prompts = from_file(tmp_path, text, name)
        assert prompts == {"cat": ("a kitten", "a cat"), "dog": ("dog",), "no": ("a sign that says no",)}


def test_the_configurations_prompts_win_over_the_files(tmp_path: Path) -> None:
    prompts = from_file(tmp_path, "cat: [old]", "classes.yaml", prompts={"cat": ("new",)})
    assert prompts == {"cat": ("new",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- cat\n- dog\n", "must map class names to prompts, found list"),
        ("", "found NoneType"),
        ("no: [x]\n", "class name False is read as bool; put it in quotes"),
        ("cat: 3\n", "'cat' needs a list of texts"),
        ("cat: [x, 3]\n", "'cat' needs a list of texts"),
        ("cat: [x]\ndog: [y]\ncat: [z]\n", "cat given more than once"),
        ("'cat ': [x]\ncat: [z]\n", "more than once: 'cat'"),
        ("cat: []\n", "'cat' has no prompts"),
        ("cat: [x\n", "cannot be read"),
        ("cat: !!python/object/apply:os.getcwd []\n", "cannot be read"),
    ],
)
def test_a_yaml_file_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        from_file(tmp_path, text, "classes.yaml")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"missing\.txt cannot be read"):
        class_prompts(VocabularyConfig(classes_file=tmp_path / "missing.txt"))
    (tmp_path / "latin").write_bytes("für".encode("latin-1"))
    with pytest.raises(VocabularyError, match="latin cannot be read"):
        class_prompts(VocabularyConfig(classes_file=tmp_path / "latin"))


@given(text=st.text(max_size=80), name=st.sampled_from(["classes.txt", "classes.yaml"]))
def test_any_file_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    try:
        prompts = from_file(tmp_path_factory.mktemp("classes"), text.replace("\ud800", ""), name)
    except VocabularyError:
        return
    assert all(name == name.strip() != "" and texts for name, texts in prompts.items())
