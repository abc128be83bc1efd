import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.yaml_text import YamlError, read_yaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: `a` is given again, it is in line 1 already"),
        ("x:\n  - {k: 1,\n     'k': 2}\n", "line 3: `k` is given again, it is in line 2 already"),
        ("a: &a [*a]\n", "line 1, column 4: an alias stands inside the anchor that it names"),
        ("a: &a {b: {c: *a}}\n", "line 1, column 4: an alias stands inside the anchor that it names"),
        ("[" * 3000, "nested too deeply"),
        ("a:\n\tb: 1\n", "line 2, column 1: a tab; YAML is indented with blanks"),
        ("a:\n  b: 1\n \tc: 1\n", "line 3, column 2: a tab"),
        ("a:\tb\n", "line 1, column 3: a tab"),
        ("a: 1\nb: 'x\x00'\n", r"line 2: the character '\\x00' may not stand in YAML"),
        ("a: 1\nb: 2026-02-31\n", "line 2: day is out of range for month; put quotes around what is text"),
        ("a: [unclosed\n", "line 2, column 1: expected .*; quote values"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(YamlError, match=message):
        read_yaml(text)


AGAIN = "".join(f"a{n}: &a{n} [{', '.join(9 * [f'*a{n - 1}'])}]\n" for n in range(1, 30))
IN_MAPPINGS = "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: {{z: *a{n - 1}}}}}\n" for n in range(1, 90))


@pytest.mark.parametrize("text", ["a0: &a0 [x, x]\n" + AGAIN, "a0: &a0 {x: 1}\n" + IN_MAPPINGS])
@pytest.mark.timeout(20)
def test_aliases_that_say_again_and_again_what_says_again_are_refused(text: str) -> None:
    with pytest.raises(YamlError, match="its aliases stand for more than 1,000,000 values; write out what they name"):
        read_yaml(text)


def test_a_long_list_may_be_named_a_few_times() -> None:
    found = read_yaml(f"names: &names [{', '.join(map(str, range(20_000)))}]\nmore: [{', '.join(9 * ['*names'])}]\n")
    assert len(found["more"]) == 9


def test_what_only_looks_alike_is_read() -> None:
    base = "base: &base {a: 1, b: 2}\n"
    assert read_yaml(base + "more: {<<: *base, a: 3}\ntwice: [*base, *base]\n") == {
        "base": {"a": 1, "b": 2},
        "more": {"a": 3, "b": 2},
        "twice": [{"a": 1, "b": 2}] * 2,
    }
    assert read_yaml("1: a\n'1': b\n") == {1: "a", "1": "b"}
    assert read_yaml("x: {a: 1}\ny: {a: 2}\n") == {"x": {"a": 1}, "y": {"a": 2}}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_what_yaml_writes_is_read_as_it_was(value: object) -> None:
    assert read_yaml(yaml.safe_dump(value)) == value


@given(st.text(st.sampled_from("ab:-&*[]{},<'\"\t \n#?!|>1é\x00"), max_size=40))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        found = read_yaml(text)
    except YamlError as error:
        assert str(error)
    else:
        assert found == yaml.safe_load(text)
