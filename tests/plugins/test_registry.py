"""What is registered, by whom, and what is said about what is not."""

import shutil
from pathlib import Path

import pytest

from stream_adapter.config import Config, parse
from stream_adapter.encode.base import Model
from stream_adapter.errors import ConfigError, PluginError
from stream_adapter.plugins import ENCODERS, LEARNERS, TRANSPORTS, Registry
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import Transport

HEAD = "vocabulary: {classes: [red, blue]}\n"
ENCODER = "encoder: {pretrained: p}\n"


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(HEAD + text)
    return caught.value.problems


@pytest.mark.parametrize("registry", [TRANSPORTS, ENCODERS, LEARNERS], ids=lambda registry: registry.kind)
def test_everything_built_in_can_be_loaded(registry: Registry) -> None:
    assert set(registry.names()) >= set(registry.built_in)
    for name in registry.built_in:
        assert callable(registry.load(name))


def test_there_is_one_of_each_kind_without_any_plug_in() -> None:
    assert set(TRANSPORTS.built_in) == {"kafka", "files"}
    assert set(ENCODERS.built_in) == {"open_clip", "vectors", "groceries"}


def test_an_unknown_name_is_answered_with_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(PluginError, match=r"no transport is called 'kafak'; did you mean 'kafka'\? known are files, k"):
        TRANSPORTS.load("kafak")
    with pytest.raises(PluginError, match=r"no learner is called 'x'; known are .*'stream_adapter.learners'"):
        LEARNERS.check("x")


def test_what_is_installed_is_known_by_its_name(importable: Path) -> None:
    assert "sqlite" in TRANSPORTS.names()
    assert {"colours", "open_clip"} <= set(ENCODERS.names())
    transport: type[Transport] = TRANSPORTS.load("sqlite")
    model: type[Model] = ENCODERS.load("colours")
    assert (transport.__name__, model.__name__) == ("SqliteTransport", "ColourModel")


def test_a_plug_in_that_cannot_be_loaded_is_named_with_its_distribution(importable: Path) -> None:
    reason = r"the encoder 'broken' of example-plugin 1\.2\.3 cannot be loaded: ModuleNotFoundError: .*no_such_module"
    ENCODERS.check("broken")  # nothing is imported for that
    with pytest.raises(PluginError, match=reason):
        ENCODERS.load("broken")
    (problem,) = problems_of("encoder: {type: broken}")
    assert problem.startswith("encoder.options: the encoder 'broken' of example-plugin 1.2.3 cannot be loaded")


def test_what_lacks_what_it_needs_is_said_to_be_none(importable: Path) -> None:
    with pytest.raises(PluginError, match=r"'sqlite' of example-plugin 1\.2\.3 is no transport: .* has no 'wings'"):
        Registry("transport", TRANSPORTS.group, needs=("wings",)).load("sqlite")


def test_one_name_of_two_distributions_is_refused(
    importable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other_plugin-9.dist-info"
    shutil.copytree(importable / "example_plugin-1.2.3.dist-info", other)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other-plugin\nVersion: 9\n")
    (other / "entry_points.txt").write_text(
        f"[{TRANSPORTS.group}]\nsqlite = other:Transport\nkafka = other:Transport\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        PluginError, match=r"transport 'sqlite': example-plugin 1\.2\.3, other-plugin 9; remove all but"
    ):
        TRANSPORTS.load("sqlite")
    assert TRANSPORTS.load("kafka").__module__.startswith("stream_adapter."), "what is built in goes first"


def test_the_settings_of_a_transport_are_validated_with_the_file(importable: Path, tmp_path: Path) -> None:
    text = f"{HEAD}{ENCODER}transport: sqlite\ntransports: {{sqlite: {{file: stream.db}}}}"
    config = parse(text, folder=tmp_path)
    assert config.transport_settings.file == tmp_path / "stream.db"
    assert transport_of(config).worker_name == "sqlite"
    assert not (tmp_path / "stream.db").exists(), "nothing is opened yet"


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ("transport: sqlight", "transport: no transport is called 'sqlight'; did you mean 'sqlite'?"),
        ("transport: sqlite", "transports.sqlite.file: required, but missing"),
        (
            "transport: sqlite\ntransports: {sqlite: {flie: a}}",
            "transports.sqlite.flie: unknown key; did you mean `file`?",
        ),
        ("transports: {sqlite: {file: a, follow: maybe}}", "transports.sqlite.follow: Input should be a valid boolean"),
        ("transports: {sqlite: here}", "transports: the settings of the transport 'sqlite' must be a mapping"),
        ("transports: {kafka: {}}", "transports: the settings of 'kafka' are in the section `kafka`"),
        ("transports: {nats: {}}", "transports: no transport is called 'nats'"),
    ],
)
def test_what_is_wrong_about_a_transport_is_said_by_its_key(importable: Path, sections: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in problems_of(ENCODER + sections)), problems_of(ENCODER + sections)


def test_a_secret_of_a_plug_in_is_not_shown(importable: Path) -> None:
    (problem,) = problems_of(ENCODER + "transports: {sqlite: {file: a, password: hunter2}}")
    assert problem.startswith("transports.sqlite.password: unknown key") and "hunter2" not in problem


@pytest.mark.parametrize(
    ("encoder", "problem"),
    [
        ("{type: clip, pretrained: p}", "encoder.type: no encoder is called 'clip'; did you mean 'open_clip'?"),
        ("{pretrained: p, options: {a: 1}}", "encoder.options: the encoder 'open_clip' has no options"),
        ("{type: vectors, options: {fingerprint: f}}", "encoder.options.d: required, but missing"),
        ("{type: vectors, options: {d: 0, fingerprint: f}}", "encoder.options.d: "),
        (
            "{type: vectors, options: {d: 4, fingerprnt: f}}",
            "encoder.options.fingerprnt: unknown key; did you mean",
        ),
        ("{type: colours}", "encoder.options.colours: required, but missing"),
        ("{type: colours, options: {colors: {}}}", "encoder.options.colors: unknown key; did you mean `colours`?"),
        ("{type: colours, options: {colours: {red: [1, 2]}}}", "encoder.options.colours.red.2: required, but missing"),
        ("{type: colours, options: 3}", "encoder.options: the settings of the encoder 'colours' must be a mapping"),
    ],
)
def test_what_is_wrong_about_an_encoder_is_said_by_its_key(importable: Path, encoder: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in problems_of(f"encoder: {encoder}")), problems_of(
        f"encoder: {encoder}"
    )


def test_an_encoder_of_its_own_needs_no_weights(importable: Path) -> None:
    config: Config = parse(HEAD + "encoder: {type: colours, options: {colours: {red: [255, 0, 0]}}}")
    assert config.encoder.options.colours == {"red": (255, 0, 0)}
