"""What pydantic found, in one sentence each: the key, what was expected, what was found, and the nearest known key."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from stream_adapter.yaml_text import read_as

_SECRET = re.compile(r"password|secret|token|key|jaas", re.IGNORECASE)

Location = tuple[str | int, ...]


class SettingsRefused(ValueError):
    """Settings of a plug-in that are not valid, where they stand in the configuration.

    Attributes:
        refused: for each plug-in: where its settings are below the key that is validated, the model that they do not
            fit, and pydantic's error.
    """

    def __init__(self, refused: Sequence[tuple[Location, type[BaseModel], ValidationError]]) -> None:
        super().__init__("settings of a plug-in are not valid")
        self.refused = refused


def explained(error: ValidationError, model: type[BaseModel], place: Location = ()) -> Iterator[str]:
    """One sentence for each problem."""
    for problem in error.errors():
        cause = problem.get("ctx", {}).get("error")
        if isinstance(cause, SettingsRefused):
            for below, settings, inner in cause.refused:
                yield from explained(inner, settings, (*place, *problem["loc"], *below))
        else:
            yield _sentence(problem, model, place)


def nearest(name: str, known: Iterable[str]) -> str:
    """Advice for a key that is not known: the nearest that is, or all."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean `{near[0]}`?" if near else f"known keys here: {', '.join(known) or 'none'}"


def _sentence(problem: Any, model: type[BaseModel], place: Location) -> str:
    inner = problem["loc"][:-1] if problem["loc"][-1:] == ("[key]",) else problem["loc"]
    whole: Location = (*place, *inner)
    key = ".".join(map(str, whole)) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key; {nearest(str(problem['loc'][-1]), _known_keys(model, problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"{key}: required, but missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    found = problem.get("input")
    if problem["type"] == "string_type" and (kind := read_as(found)) is not None:
        message = f"YAML reads this as {kind}; put quotes around it to have it as text"
    elif problem["type"] == "tuple_type":
        message = "must be a list, such as [a, b]"
    shown = f"; found {_shown(found)}" if isinstance(found, str | int | float | bool | None) else ""
    if whole[:2] == ("kafka", "security") or any(_SECRET.search(str(part)) for part in whole):
        shown = "; what was found is not shown, because it may be a secret"
    return f"{key}: {message}{shown}"


def _shown(found: object) -> str:
    try:
        return repr(found)
    except ValueError:  # thousands of digits, which Python does not write out
        return "a number of thousands of digits"


def _known_keys(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that the section of `model` at `location` knows."""
    section: Any = model
    for part in location:
        field = section.model_fields.get(part) if isinstance(part, str) and hasattr(section, "model_fields") else None
        if field is None:
            continue
        candidates = [kind for kind in (field.annotation, *get_args(field.annotation)) if hasattr(kind, "model_fields")]
        section = candidates[0] if candidates else section
    return list(section.model_fields)
