"""The house that CONTRIBUTING.md draws: each floor imports only floors below it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import stream_adapter

PACKAGE = Path(stream_adapter.__file__).parent
FLOORS = (
    {"cli", "classifier", "evaluate", "operations", "demo", "standard_streams"},
    {"service"},
    {"page"},
    {"journey"},
    {"transport", "snapshots", "encode", "references", "metrics"},
    {"drift"},
    {"adapter"},
    {"events", "config", "errors", "plugins"},
    {"output_file", "numpy_files", "yaml_text", "terminal_text", "throttled_log", "cores"},
)
# What the words that all floors speak are made of.
WORDS = {"drift.settings", "drift.alarm", "drift.confidence_sequence", "transport.base"}


def imports(file: Path) -> Iterator[str]:
    """The modules of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stream_adapter."):
            yield (node.module or "").removeprefix("stream_adapter.")


@pytest.mark.parametrize("number", range(1, len(FLOORS)), ids=lambda number: " ".join(sorted(FLOORS[number])))
def test_a_floor_imports_nothing_from_above(number: int) -> None:
    above = set[str]().union(*FLOORS[:number])
    allowed = WORDS if "events" in FLOORS[number] else set()
    for name in FLOORS[number]:
        files = [*(PACKAGE / name).rglob("*.py"), *PACKAGE.glob(f"{name}.py")]
        assert files
        wrong = {
            (str(file.relative_to(PACKAGE)), module)
            for file in files
            for module in imports(file)
            if module.partition(".")[0] in above and module not in allowed
        }
        assert not wrong


def test_everything_is_on_a_floor() -> None:
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert names - {"__init__", "__main__"} == set[str]().union(*FLOORS)


def test_the_picture_shows_these_floors() -> None:
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text()
    (picture,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    shown = [set(re.split(r" {4,}", line.strip())[0].split()) for line in picture.splitlines()]
    assert shown == list(FLOORS)
