import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.events.names import canonical_name, did_you_mean, names_by_case


@pytest.mark.parametrize(
    ("written", "name"),
    [("cafe\u0301", "caf\u00e9"), ("caf\u00e9", "caf\u00e9"), (" \tcat\u00a0\r\n", "cat"), ("Cat", "Cat"), (" ", "")],
)
def test_a_name_is_compared_in_nfc_without_blanks_around(written: str, name: str) -> None:
    assert canonical_name(written) == name


@given(st.text())
def test_it_is_settled_after_once_whatever_the_form(text: str) -> None:
    name = canonical_name(text)
    assert canonical_name(name) == name == canonical_name(f" {unicodedata.normalize('NFD', text)}\n")


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("CAT", ["bat", "cat", "cats"], "; did you mean 'cat'?"),
        ("STRASSE", ["Straße"], "; did you mean 'Straße'?"),
        ("girafe", ["dog", "giraffe"], "; did you mean 'giraffe'?"),
        ("xyz", ["dog", "giraffe"], ""),
        ("cat", [], ""),
    ],
)
def test_the_name_that_was_meant(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, known) == hint


def test_of_names_that_differ_in_case_the_first_is_found() -> None:
    assert names_by_case(["Polish", "polish", "Cat"]) == {"polish": "Polish", "cat": "Cat"}
