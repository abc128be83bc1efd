"""YAML as people write it: what PyYAML passes over in silence is refused, and what is wrong is said with its place.

Only what YAML itself knows is read, as data (`SafeLoader`).
"""

import re
from collections.abc import Hashable
from datetime import date
from typing import Any

import yaml

_QUOTED = re.compile(r"'[^']{2,}'|\"[^\"]{2,}\"")
_KINDS = {
    bool: "a truth value (as yes, no, on and off)",
    int: "a number",
    float: "a number",
    date: "a date",
    type(None): "nothing (as null and ~)",
}


_MOST_REPEATED = 1_000_000


class YamlError(Exception):
    """The text is not YAML that can be used; the message says where and why, and quotes no value."""


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, of which YAML's own loader takes the last, and an alias inside its own anchor."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.deep_construct = True  # an alias that contains itself is found at once, and not handed out

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: dict[Hashable, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            first = seen.setdefault((key.tag, key.value), key)
            if first is not key:
                raise YamlError(
                    f"line {_line(key)}: `{key.value}` is given again, it is in line {_line(first)} already; "
                    "put both into one"
                )
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # a date such as 2026-02-31
            raise YamlError(f"line {_line(node)}: {error}; put quotes around what is text") from None


def read_yaml(text: str) -> Any:
    """The document in a text.

    Raises:
        YamlError: it is not YAML, gives a key twice, or has an alias that contains itself, or aliases that stand for
            more than whoever goes through the document can.
    """
    try:
        document = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
        if _repeated(document) > _MOST_REPEATED:
            raise YamlError(f"its aliases stand for more than {_MOST_REPEATED:,} values; write out what they name")
        return document
    except yaml.MarkedYAMLError as error:
        raise YamlError(_where_it_breaks(error, text)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(f"line {line}: the character {chr(error.character)!r} may not stand in YAML") from None
    except RecursionError:
        raise YamlError("it is nested too deeply, or an alias contains itself") from None


def _repeated(document: Any) -> int:
    """How many values aliases add to those that are written; what is named again and again is looked through once."""
    sizes: dict[int, int] = {}
    written = 0

    def size(node: Any) -> int:
        nonlocal written
        if not isinstance(node, dict | list | tuple):
            return 1
        if id(node) not in sizes:
            inner = node.values() if isinstance(node, dict) else node
            written += 1 + sum(not isinstance(one, dict | list | tuple) for one in inner)
            sizes[id(node)] = 1 + sum(map(size, inner))
        return sizes[id(node)]

    return size(document) - written


def read_as(value: object) -> str | None:
    """What YAML took a word for that was meant as text, for messages; None where it is nothing that a word can be."""
    return next((said for kind, said in _KINDS.items() if isinstance(value, kind)), None)


def _where_it_breaks(error: yaml.MarkedYAMLError, text: str) -> str:
    """What is wrong and where, without the line itself: it may hold a password, and so may what the parser quotes."""
    mark = error.problem_mark
    if mark is None:
        return "it breaks off"
    place = f"line {mark.line + 1}, column {mark.column + 1}"
    line = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or (error.problem or "").startswith("found character '\\t'"):
        return f"{place}: a tab; YAML is indented with blanks, put some in its place"
    problem = error.problem or "it breaks off"
    if "recursive" in problem:
        return f"{place}: an alias stands inside the anchor that it names"
    return f"{place}: {_QUOTED.sub('…', problem)}; quote values that hold special characters"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
