"""Docs name every command, option, configuration key and metric; these tests fail when one is missing."""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from pydantic import BaseModel

from stream_adapter.cli import app, main
from stream_adapter.config import Config, KafkaTopics
from stream_adapter.events import anchor_tombstone, image_event_headers
from stream_adapter.events.image import EMBEDDING
from stream_adapter.metrics import Metrics
from stream_adapter.transport.dead_letters import HEADER_NAMES, VALUE_OMITTED
from tests.events.test_anchor import anchor

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
        labels = getattr(value, "_labelnames", ()) if family.type != "info" else ("version", "encoder", "vocabulary")
        exported.add((family.name + suffix, family.type, frozenset(labels)))
    assert documented == exported


PAGES = [*ROOT.glob("*.md"), *DOCS.glob("**/*.md"), *(ROOT / "stream_adapter").glob("**/*.md")]


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def places(page: Path) -> set[str]:
    """What `#…` can name in a page: its headings as GitHub writes them."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)  # a link's text
        slug = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
        found.append(f"{slug}-{repeated}" if (repeated := found.count(slug)) else slug)
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, place = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not place or place in places(file), f"{page.name}: {target} names no heading of {file.name}"


def test_a_place_that_is_not_there_would_be_noticed() -> None:
    assert "stream-adapter-produce-config-input" in places(DOCS / "commands.md")
    assert "no-such-heading" not in places(DOCS / "commands.md")


def test_every_page_is_reached_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#\s:]+\.md)[)#]", without_code(page))
        todo += [path for link in links if (path := (page.parent / link).resolve()).exists()]
    assert {page.name for page in DOCS.glob("*.md")} - {page.name for page in seen} == set()


def test_every_topic_and_header_is_documented() -> None:
    text = (DOCS / "events.md").read_text()
    event = image_event_headers(source="s", id="1", content_type=EMBEDDING, time_ms=0, label="dog")
    written = anchor().to_record("w").headers + anchor_tombstone("a", "w").headers
    names = {name for name, _ in (*event, *written)} | {*HEADER_NAMES, VALUE_OMITTED, "ce_fingerprint"}
    names |= set(KafkaTopics().model_dump().values())
    missing = sorted(name for name in names if f"`{name}`" not in text)
    assert missing == [], "docs/events.md does not name them"


def test_every_schema_is_documented() -> None:
    text = "".join(page.read_text() for page in DOCS.glob("*.md"))
    assert [path.name for path in DOCS.glob("*.schema.json") if f"({path.name})" not in text] == []


def test_every_exit_status_is_documented() -> None:
    (line,) = re.findall(r"Exit status: (.*?\n.*?)\n", (DOCS / "commands.md").read_text())
    code = inspect.getsource(main)
    for status in set(re.findall(r"sys\.exit\((\d+)\)", code)) | {"0"}:
        assert re.search(rf"\b{status}\b", line), f"docs/commands.md does not explain exit status {status}"


def test_every_make_target_is_documented_and_explains_itself() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    assert targets >= {"demo", "test", "kill-test"}
    text = "".join(page.read_text() for page in PAGES)
    assert sorted(name for name in targets if not re.search(rf"make {name}\b(?!-)", text)) == []
    assert sorted(name for name in targets if not re.search(rf"^{name}:.*## \S", makefile, re.MULTILINE)) == []
    assert set(" ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)).split()) == targets


def test_the_examples_fit_their_schemas() -> None:
    examples = re.findall(r"```json\n(.*?)```", (DOCS / "events.md").read_text(), re.DOTALL)
    for name, example in zip(("prediction", "to-label"), examples, strict=True):
        schema = json.loads((DOCS / f"{name}.schema.json").read_text())
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(json.loads(example))


def test_the_example_of_a_method_is_the_one_that_is_tested() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "plugins.md").read_text(), re.DOTALL)
    assert example in (ROOT / "tests/plugins/example_plugin/example_plugin/learner.py").read_text()


def test_the_readme_names_both_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
