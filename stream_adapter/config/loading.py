"""Reading a configuration file.

Unknown keys are refused with the nearest known key named, `${NAME}` takes a value from the environment, and every
problem is reported at once (`load` raises one `ConfigError` that lists them all).
"""

import difflib
import os
import re
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from stream_adapter.config.sections import Config
from stream_adapter.errors import ConfigError
from stream_adapter.yaml_text import YamlError, read_as, read_yaml

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SECRET = re.compile(r"password|secret|token|key|jaas", re.IGNORECASE)

# `${STREAM_ADAPTER_PACKAGE}` finds what ships inside the package, wherever it is installed.
_BUILT_IN_VARIABLES = {"STREAM_ADAPTER_PACKAGE": str(Path(__file__).parents[1])}


def load(path: Path) -> Config:
    """Read and validate a configuration file.

    Relative paths in the file are resolved against the file's own folder, so that it works from anywhere.

    Raises:
        ConfigError: the file cannot be read or is not valid; it lists every problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"cannot read the file: {error.strerror}"], str(path)) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"not UTF-8: {error.reason} at byte {error.start}"], str(path)) from None
    return parse(text, source=str(path), folder=path.parent)


def parse(text: str, *, source: str = "configuration", folder: Path | None = None) -> Config:
    """Validate configuration text; see `load`."""
    problems: list[str] = []
    try:
        document = read_yaml(text)
    except YamlError as error:
        raise ConfigError([f"not YAML: {error}"], source) from None
    if not isinstance(document, dict):
        raise ConfigError([f"must be a mapping of sections, found {type(document).__name__}"], source)
    document = _expand(document, "", problems)
    try:
        config = Config.model_validate(document, context={"folder": folder})
    except ValidationError as error:
        # A reference to an unset variable often makes its key invalid too: one problem, told once.
        broken = {problem.partition(":")[0] for problem in problems}
        problems += [problem for problem in map(_explain, error.errors()) if problem.partition(":")[0] not in broken]
        raise ConfigError(problems, source) from None
    if problems:
        raise ConfigError(problems, source)
    return config


def _expand(node: Any, key: str, problems: list[str]) -> Any:
    """Replace `${NAME}` in every string by the environment's value; a missing name is a problem, not an empty text."""
    if isinstance(node, dict):
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

    return _VARIABLE.sub(value_of, node)


def _is_secret(location: tuple[str | int, ...]) -> bool:
    """Whether what was found there must not be shown."""
    return location[:2] == ("kafka", "security") or any(_SECRET.search(str(part)) for part in location)


def _explain(error: Any) -> str:
    """One sentence for one pydantic error: key, what was expected, what was found."""
    place = error["loc"][:-1] if error["loc"][-1:] == ("[key]",) else error["loc"]
    location = ".".join(str(part) for part in place) or "the file"
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        known = _known_keys(error["loc"][:-1])
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        advice = f"did you mean `{near[0]}`?" if near else f"known keys here: {', '.join(sorted(known))}"
        return f"{location}: unknown key; {advice}"
    if error["type"] == "missing":
        return f"{location}: required, but missing"
    found = error.get("input")
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "string_type" and (kind := read_as(found)) is not None:
        message = f"YAML reads this as {kind}; put quotes around it to have it as text"
    elif error["type"] == "tuple_type":
        message = "must be a list, such as [a, b]"
    shown = f"; found {found!r}" if isinstance(found, str | int | float | bool | None) else ""
    if _is_secret(place):
        shown = "; what was found is not shown, because it may be a secret"
    return f"{location}: {message}{shown}"


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """The keys that the section at `location` knows."""
    section: Any = Config
    for part in location:
        field = section.model_fields.get(part) if isinstance(part, str) and hasattr(section, "model_fields") else None
        if field is None:
            continue
        candidates = [kind for kind in (field.annotation, *get_args(field.annotation)) if hasattr(kind, "model_fields")]
        section = candidates[0] if candidates else section
    return list(section.model_fields)
