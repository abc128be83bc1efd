"""Whatever is wrong with a configuration, saying so shows no password."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from stream_adapter.cli import app
from stream_adapter.config import KafkaConfig, parse
from stream_adapter.errors import ConfigError, TransportError
from stream_adapter.transport.kafka.connection import Connection

SECRET = "hunter2-of-the-test"
HEAD = "encoder: {model: m, pretrained: p}\nvocabulary: {classes: [a]}\nkafka:\n  security:\n"

BROKEN = {
    "no closing quote": f'    sasl_plain_password: "{SECRET}',
    "a colon too many": f"    sasl_plain_password: {SECRET}: x",
    "an alias": f"    sasl_plain_password: *{SECRET}",
    "a tag": f"    sasl_plain_password: !{SECRET}",
    "a directive": f"    sasl_plain_password: %{SECRET}",
    "a list": f"    sasl_plain_password: [{SECRET}]",
    "nothing in the right place": f"    {SECRET}",
    "an unknown key": f"    sasl_plain_password: x\n  sasl_plain_password: {SECRET}",
    "another section": f"    sasl_plain_password: x\nservice: {{port: 99999, ssl_password: {SECRET}}}",
    "a number that is too large for its place": f"    a: b\nservice:\n  token_{SECRET[:3]}: {SECRET}",
}


@pytest.mark.parametrize("line", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_does_not_show_it(line: str, tmp_path: Path) -> None:
    path = tmp_path / "worker.yaml"
    path.write_text(HEAD + line + "\n")
    with pytest.raises(ConfigError) as caught:
        parse(path.read_text(), source=str(path))
    assert SECRET not in str(caught.value)
    done = CliRunner().invoke(app, ["validate", str(path)])
    assert done.exit_code != 0
    assert SECRET not in done.output + str(done.exception)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=4, max_size=20))
def test_no_value_of_the_security_section_is_ever_shown(secret: str) -> None:
    marked = f"zq{secret}zq"
    try:
        parse(f"{HEAD}    sasl_plain_password: {marked}\n    more: [1]\n")
    except ConfigError as error:
        assert marked not in str(error)


def test_where_it_breaks_is_said() -> None:
    with pytest.raises(ConfigError, match=r"line 5, column 45: mapping values are not allowed here"):
        parse(HEAD + BROKEN["a colon too many"])


def test_a_variable_that_is_not_set_is_named_and_others_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    with pytest.raises(ConfigError, match="KAFKA_USER is not set") as caught:
        parse(HEAD + "    sasl_plain_password: ${KAFKA_PASSWORD}\n    sasl_plain_username: ${KAFKA_USER}\n    x: [1]\n")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("client", ["admin", "consumer", "producer"])
def test_an_option_that_the_client_does_not_know_does_not_show_it(client: str) -> None:
    connection = Connection(KafkaConfig(bootstrap_servers="localhost:1", security={"sasl_pasword": SECRET}))
    with pytest.raises(TransportError, match="sasl_pasword") as caught:
        getattr(connection, client)().__enter__()  # an administrator's client is made when its block begins
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__, "a traceback would show it"


def test_a_file_that_is_not_utf8_is_said(tmp_path: Path) -> None:
    path = tmp_path / "worker.yaml"
    path.write_bytes(HEAD.encode() + b"    sasl_plain_password: \xff\n")
    done = CliRunner().invoke(app, ["validate", str(path)])
    assert done.exit_code == 1 and "not UTF-8" in str(done.exception)
