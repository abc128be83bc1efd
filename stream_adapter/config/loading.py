"""Reading a configuration file.

Unknown keys are refused with the nearest known key named, `${NAME}` takes a value from the environment, and every
problem is reported at once (`load` raises one `ConfigError` that lists them all).
"""

import os
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stream_adapter.config.explaining import explained
from stream_adapter.config.sections import Config
from stream_adapter.errors import ConfigError
from stream_adapter.yaml_text import YamlError, read_yaml

_NO_TEXT = "holds a null character or half of a character, which no text does; write it anew"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

# `${STREAM_ADAPTER_PACKAGE}` finds what ships inside the package, wherever it is installed.
_BUILT_IN_VARIABLES = {"STREAM_ADAPTER_PACKAGE": str(Path(__file__).parents[1])}


def load(path: Path) -> Config:
    """Read and validate a configuration file.

    Relative paths in the file are resolved against the file's own folder, so that it works from anywhere.

    Raises:
        ConfigError: the file cannot be read or is not valid; it lists every problem.
    """
    try:
        text = _read(path)
    except OSError as error:
        raise ConfigError([f"cannot read the file: {error.strerror}"], str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"not UTF-8: {error.reason} at byte {error.start}"], str(path)) from None
    return parse(text, source=str(path), folder=path.parent)


def _read(path: Path) -> str:
    # A pipe that somebody writes into is read to its end; one that nobody does is empty, and not waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, encoding="utf-8") as file:  # noqa: PTH123 - a descriptor is no path
        os.set_blocking(descriptor, True)
        return file.read()


def parse(text: str, *, source: str = "configuration", folder: Path | None = None) -> Config:
    """Validate configuration text; see `load`."""
    problems: list[str] = []
    try:
        document = read_yaml(text)
    except YamlError as error:
        raise ConfigError([f"not YAML: {error}"], source) from None
    if document is None:
        raise ConfigError(["it is empty; expected a mapping of sections"], source)
    if not isinstance(document, dict):
        raise ConfigError([f"must be a mapping of sections, found {type(document).__name__}"], source)
    document = _expand(document, "", problems)
    try:
        config = Config.model_validate(document, context={"folder": folder})
    except ValidationError as error:
        # A reference to an unset variable often makes its key invalid too: one problem, told once.
        broken = {problem.partition(":")[0] for problem in problems}
        problems += [problem for problem in explained(error, Config) if problem.partition(":")[0] not in broken]
        raise ConfigError(problems, source) from None
    if problems:
        raise ConfigError(problems, source)
    return config


def _expand(node: Any, key: str, problems: list[str]) -> Any:
    """Replace `${NAME}` in every string by the environment's value; a missing name is a problem, not an empty text."""
    if isinstance(node, dict):
        names = [name for name in node if isinstance(name, str) and not _is_text(name)]
        problems += [f"{key or 'the file'}: the name {name!r} {_NO_TEXT}" for name in names]
        return {name: _expand(value, f"{key}.{name}" if key else str(name), problems) for name, value in node.items()}
    if isinstance(node, list):
        return [_expand(value, f"{key}[{position}]", problems) for position, value in enumerate(node)]
    if not isinstance(node, str):
        return node

    def value_of(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        value = os.environ.get(name, _BUILT_IN_VARIABLES.get(name, default))
        if value is None:
            problems.append(f"{key}: environment variable {name} is not set (or write ${{{name}:-default}})")
        return value or ""

    text = _VARIABLE.sub(value_of, node)
    if not _is_text(text):
        problems.append(f"{key}: {_NO_TEXT}")
    return text


def _is_text(text: str) -> bool:
    """Whether the system can be handed it as a path, a name or an option."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
