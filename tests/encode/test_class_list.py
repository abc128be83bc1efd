import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.encode.class_list import read_class_list
from stream_adapter.errors import VocabularyError


def names_in(folder: Path, text: str, name: str) -> list[str]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return [name for name, _ in read_class_list(path)]


ID2LABEL = json.dumps(
    {"architectures": ["ViT"], "id2label": {"1": "dog", "0": "cat", "10": "cow"}, "label2id": {"a": 0}}
)
YOLO = "path: ../data\ntrain: images/train\nval: images/val\nnc: 2\nnames: "


@pytest.mark.parametrize(
    ("text", "name", "names"),
    [
        ("\ufeff# animals\ncat\r\n\n  hot dog  \nC# book\n####\n#\tx\n", "classes.txt", ["cat", "hot dog", "C# book"]),
        ("\\#hashtag\ncat\n", "classes.txt", ["#hashtag", "cat"]),
        ("great_white_shark\ntench, Tinca tinca\n", "classes", ["great_white_shark", "tench, Tinca tinca"]),
        ("0, tench\n1, goldfish\n", "classes.txt", ["tench", "goldfish"]),
        ("0: tench\n1: great white\n", "classes.txt", ["tench", "great white"]),
        ("0 person\n1 bicycle\n", "coco.names", ["person", "bicycle"]),
        ("1\tperson\n2\tbicycle\n", "classes.txt", ["person", "bicycle"]),
        ("/a/airfield 0\n/b/arena/hockey 1\n", "categories_places365.txt", ["airfield", "arena/hockey"]),
        ("cat 0\ndog 1\n", "classes.txt", ["cat", "dog"]),
        ("1 euro\n2 euro\n", "classes.txt", ["1 euro", "2 euro"]),
        ("7 up\n3 stooges\n", "classes.txt", ["7 up", "3 stooges"]),
        ("1 ring\n", "classes.txt", ["1 ring"]),
        ('id,name\n0,cat\n1,"dog, black"\n,\n', "classes.csv", ["cat", "dog, black"]),
        ("Index;Class\n0;cat\n1;dog\n", "classes.txt", ["cat", "dog"]),
        ("name\ncat\ndog\n", "classes.csv", ["cat", "dog"]),
        ("name\ncat\n", "classes.txt", ["name", "cat"]),
        ("cat\ndog\n", "classes.csv", ["cat", "dog"]),
        ("0,cat\n1,dog\n", "classes.csv", ["cat", "dog"]),
        ('["cat","dog"]', "classes.txt", ["cat", "dog"]),
        ('["cat","dog"]', "classes.json", ["cat", "dog"]),
        ('{"0": "cat", "1": "dog"}', "classes.json", ["cat", "dog"]),
        ("{0: 'tench, Tinca tinca',\n 1: 'goldfish'}", "imagenet.txt", ["tench, Tinca tinca", "goldfish"]),
        ('{"dog": 1, "cat": 0}', "class_to_idx.json", ["cat", "dog"]),
        (ID2LABEL, "config.json", ["cat", "dog", "cow"]),
        ("- cat\n- dog\n", "classes.yaml", ["cat", "dog"]),
        ("0: cat\n1: dog\n", "classes.yml", ["cat", "dog"]),
        (YOLO + "[person, 'no']\n", "data.yaml", ["person", "no"]),
        (YOLO + "{0: person, 7: bicycle}\n", "data.YAML", ["person", "bicycle"]),
        (YOLO + "\n  - person\n", "data.yaml", ["person"]),
        ("cat: [a kitten, 'a {}']\ndog:\n'no': a sign\n", "classes.yaml", ["cat", "dog", "no"]),
        ("names: a list of names\ncat:\n", "classes.yaml", ["names", "cat"]),
        ("", "classes.txt", []),
    ],
)
def test_a_list_is_read_by_what_it_is(tmp_path: Path, text: str, name: str, names: list[str]) -> None:
    assert names_in(tmp_path, text, name) == names


def test_prompts_come_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("cat: [a kitten, 'a {}']\ndog:\n'no': a sign that says no\n")
    assert read_class_list(tmp_path / "classes.yaml") == [
        ("cat", ("a kitten", "a {}")),
        ("dog", None),
        ("no", ("a sign that says no",)),
    ]


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("cat\n#hashtag\n", "c.txt", r"'#hashtag' may be a comment or a class: .* a class is written `\\#hashtag`"),
        ("id,name\n0,cat\n1\n", "c.csv", r"the row \['1'\] has no column 2, which line 1 says is the name"),
        ("", "c.yaml", "it holds nothing; read are a name a line"),
        ("cat", "c.json", "it holds a text; read are"),
        ("[cat", "c.txt", "line 1, column 5: expected"),
        ('{"a": {"b": "c"}}', "c.json", r"'a' needs a list of prompts, .* not \{'b': 'c'\}; read are"),
        ('{"cat": [], "cat": []}', "c.json", "`cat` is given more than once"),
        ("cat: 3\n", "c.yaml", "'cat' needs a list of prompts, or nothing for the templates, not 3"),
        ("cat: [x, 3]\n", "c.yaml", "'cat' needs a list of prompts"),
        ("cat: [x]\ndog: [y]\ncat: [z]\n", "c.yaml", "line 3: `cat` is given again, it is in line 1 already"),
        ("cat: [x\n", "c.yaml", "cannot be read: line 2"),
        ("cat: !!python/object/apply:os.getcwd []\n", "c.yaml", "cannot be read: line 1"),
        ("a: &a [*a]\n", "c.yaml", "an alias stands inside the anchor"),
        ("no: [x]\n", "c.yaml", "holds False as a class name: YAML and JSON read it as a truth value .*; put quotes"),
        ("- cat\n- no\n", "c.yaml", "the list holds False as a class name: .* put quotes"),
        ("names: [cat, 3]\n", "c.yaml", "`names` holds 3 as a class name: YAML and JSON read it as a number"),
        ("names: {0: cat, x: dog}\n", "c.yaml", "`names` must be a list of names, or map numbers to names"),
        ("- {name: cat}\n", "c.yaml", "the list holds a mapping where a class name should be; read are"),
    ],
)
def test_what_is_none_of_it_is_refused(tmp_path: Path, text: str, name: str, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        names_in(tmp_path, text, name)


TEXT = st.text(max_size=80) | st.text(st.sampled_from("ab01 ,;:#\\\"'[]{}\n\t-"), max_size=60)


@given(text=TEXT, name=st.sampled_from(["c.txt", "c.yaml", "c.json", "c.csv"]))
def test_any_file_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    try:
        found = names_in(tmp_path_factory.mktemp("classes"), text, name)
    except VocabularyError:
        return
    assert all(isinstance(name, str) for name in found)


@given(
    st.lists(st.text(st.sampled_from("abc 01_-,é"), min_size=1).map(str.strip).filter(bool), unique=True, min_size=2)
)
def test_json_lists_and_yaml_lists_are_read_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("classes")
    assert names_in(folder, json.dumps(names), "c.json") == names
    assert names_in(folder, json.dumps(names), "c.yaml") == names
    assert names_in(folder, json.dumps({"id2label": dict(enumerate(names))}), "c.txt") == names
    assert names_in(folder, "".join(f"{n}: {name}\n" for n, name in enumerate(names)), "c.txt") == names


@pytest.mark.parametrize("text", [f"{'9' * 5_000}, cat\n1, dog\n", "{" + f'"{"9" * 5_000}": "cat", "1": "dog"' + "}"])
def test_a_number_that_python_does_not_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with contextlib.suppress(VocabularyError):
        assert len(read_class_list(tmp_path / "classes.txt")) == 2
