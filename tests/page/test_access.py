import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.config import PageConfig, parse
from stream_adapter.errors import ConfigError
from stream_adapter.page.access import Access, is_loopback

TOKEN = "0123456789abcdef"


def access(host: str, **config: object) -> Access:
    return Access.of(PageConfig.model_validate(config), host)


def test_by_default_only_this_machine_sees_it_and_nobody_changes_anything() -> None:
    here, there = access("127.0.0.1"), access("0.0.0.0")
    assert (here.enabled, here.changes, here.pictures, here.private) == (True, False, True, False)
    assert not there.enabled
    assert not there.pictures


def test_a_token_lets_this_machine_change_and_keeps_the_network_out() -> None:
    assert access("localhost", token=TOKEN).changes
    assert not access("0.0.0.0", token=TOKEN).enabled
    asked_for = access("0.0.0.0", token=TOKEN, mode="full")
    assert (asked_for.enabled, asked_for.changes, asked_for.private, asked_for.pictures) == (True, True, True, False)
    assert access("10.0.0.7", mode="read_only", pictures="on").pictures
    assert access("127.0.0.1", token="").changes is False


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_on_loopback_only_its_own_names_are_known() -> None:
    here = access("127.0.0.1", hosts=["Worker.Example"])
    for name in (
        "127.0.0.1:8080",
        "localhost:8080",
        "localhost",
        "[::1]:8080",
        "[::1]",
        "LOCALHOST:1",
        "worker.example:80",
    ):
        assert here.knows_host(name), name
    for name in ("evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example:8080", "", "10.0.0.1"):
        assert not here.knows_host(name), name
    assert access("0.0.0.0", mode="read_only").knows_host("anything:1")
    assert not access("0.0.0.0", mode="read_only", hosts=["worker"]).knows_host("anything:1")


def test_the_token_is_compared_whole() -> None:
    here = access("127.0.0.1", token=TOKEN)
    assert here.is_token(f"Bearer {TOKEN}")
    assert here.is_token(f"bearer  {TOKEN} ")
    for wrong in (
        "",
        "Bearer",
        "Bearer ",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer é",
    ):
        assert not here.is_token(wrong), wrong
    assert not access("127.0.0.1").is_token("Bearer ")


@given(st.text(max_size=40))
def test_no_guess_is_the_token_and_none_is_an_error(guess: str) -> None:
    assert access("127.0.0.1", token=TOKEN).is_token(f"Bearer {guess}") == (guess.strip() == TOKEN)


def test_a_token_is_not_shown() -> None:
    config = PageConfig(token=TOKEN)  # type: ignore[arg-type]
    assert TOKEN not in repr(config) + repr(Access.of(config, "127.0.0.1"))


@pytest.mark.parametrize("page", ["{token: a-short-secret}", "{mode: full}", "{mode: full, token: ''}"])
def test_a_page_that_protects_nothing_is_refused_without_showing_the_token(page: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(f"encoder: {{pretrained: openai}}\nvocabulary: {{classes: [a, b]}}\npage: {page}\n")
    assert "token" in str(error.value)
    assert "a-short-secret" not in str(error.value)


def test_yaml_reads_on_and_off_as_truth_values() -> None:
    config = parse("encoder: {pretrained: openai}\nvocabulary: {classes: [a, b]}\npage: {mode: off, pictures: on}\n")
    assert (config.page.mode, config.page.pictures) == ("off", "on")
