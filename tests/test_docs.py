"""Docs name every command, option, configuration key and metric; these tests fail when one is missing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from pydantic import BaseModel

from stream_adapter.adapter.presence_evidence import PresenceEvidence
from stream_adapter.cli import app
from stream_adapter.config import Config
from stream_adapter.metrics import Metrics

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def commands(group: Any, path: str = "stream-adapter") -> Iterator[tuple[str, Any]]:
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{path} {name}")
    if not hasattr(group, "commands"):
        yield path, group


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_is_documented(path: str) -> None:
    text = (DOCS / "commands.md").read_text()
    section = re.search(rf"^## `{re.escape(path)}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"docs/commands.md has no section for `{path}`"
    for parameter in COMMANDS[path].params:
        for name in (*parameter.opts, *parameter.secondary_opts):
            wanted = f"`{name}`" if name.startswith("-") else f"`{parameter.name.upper()}`"
            assert wanted in section.group(0), f"docs/commands.md does not explain {wanted} of `{path}`"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_explains_itself(path: str) -> None:
    command = COMMANDS[path]
    assert command.help, f"`{path}` has no help text"
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"`{path}` does not explain {parameter.name}"


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        section = next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if section is None:
            yield prefix + name
        else:
            yield from keys(section, f"{prefix}{name}.")


def test_every_configuration_key_is_documented_and_no_other() -> None:
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", (DOCS / "configuration.md").read_text(), re.MULTILINE))
    assert documented == set(keys(Config))


def test_every_metric_is_documented_with_its_labels_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(stream_adapter_\w+)` \| (\w+) \| (.*?) \|", (DOCS / "metrics.md").read_text(), re.MULTILINE
    )
    documented = {(name, kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    exported = set()
    for value in vars(Metrics()).values():
        if not hasattr(value, "describe"):
            continue
        (family,) = value.describe()
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = value._labelnames if family.type != "info" else ("version", "encoder", "vocabulary")
        exported.add((family.name + suffix, family.type, frozenset(labels)))
    assert documented == exported


def test_relative_links_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_example_prediction_fits_the_schema() -> None:
    schema = json.loads((DOCS / "prediction.schema.json").read_text())
    example, presence = re.findall(r"```json\n(.*?)```", (DOCS / "events.md").read_text(), re.DOTALL)
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(json.loads(example))
    assert PresenceEvidence.from_json(json.loads(presence), ["giraffe"], 2).witnesses.tolist() == [44]


def test_the_readme_names_both_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
