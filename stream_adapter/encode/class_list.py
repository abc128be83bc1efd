"""Reads a file of class names in the forms in which the world keeps them.

Which form it is, what is in the file decides; a suffix decides only between text and YAML. Read are

- text: a name a line; a number before it (`0, tench`, `0: tench`) or behind it (`/a/airfield 0`) where the numbers
  count the lines;
- CSV with a header that has a column `name`, `class` or `label`;
- JSON or YAML: a list of names, a mapping of names to prompts, of numbers to names or of names to numbers; and these
  under `names` (YOLO's `data.yaml`) or `id2label` (a model's `config.json`).
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stream_adapter.errors import VocabularyError
from stream_adapter.yaml_text import YamlError, read_as, read_yaml

Prompts = tuple[str, ...]
ClassList = list[tuple[str, Prompts | None]]
"""Names as written, in order, repeated ones included, and the prompts of each that come with it."""

_FORMS = (
    "read are a name a line, CSV with a column `name`, and in JSON or YAML a list of names, a mapping of names to "
    "prompts or of numbers to names, also under `names` or `id2label`"
)
_NAME_COLUMNS = ("name", "class", "class_name", "classname", "label", "label_name", "category", "display_name")
_COMMENT = re.compile(r"#+(\s|$)")
_NUMBER_BEFORE = re.compile(r"(?P<number>[0-9]{1,18})\s*[,;:\t ]\s*(?P<name>\S.*)")
_NUMBER_BEHIND = re.compile(r"(?P<name>\S.*?)\s*[,;:\t ]\s*(?P<number>[0-9]{1,18})")
_LETTER_FOLDER = re.compile(r"/[a-z]/(?=.)")  # Places365: /a/airfield


def read_class_list(path: Path) -> ClassList:
    """The classes in a file.

    Raises:
        VocabularyError: it cannot be read, or is in none of the forms; the message says what was found.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise VocabularyError(f"`vocabulary.classes_file` {path} cannot be read: {error}") from error
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            return _of_document(read_yaml(text))
        if path.suffix.lower() == ".json" or text.lstrip().startswith(("{", "[")):
            return _of_document(_parsed(text))
        return _of_text(text, is_csv=path.suffix.lower() in (".csv", ".tsv"))
    except (YamlError, _Unreadable) as error:
        raise VocabularyError(f"`vocabulary.classes_file` {path} cannot be read: {error}") from None


class _Unreadable(Exception):
    """What is wrong with the file's content."""


def _parsed(text: str) -> Any:
    """JSON, or what YAML makes of it: a dictionary that Python printed, say."""
    try:
        return json.loads(text, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError):
        return read_yaml(text)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Unreadable(f"`{next(name for name in names if names.count(name) > 1)}` is given more than once")
    return found


def _of_document(found: Any) -> ClassList:
    if isinstance(found, Mapping):
        for key in ("names", "id2label"):
            if isinstance(found.get(key), list | Mapping):
                return _of_names(found[key], f"`{key}`")
        return _of_mapping(found)
    if isinstance(found, list):
        return _of_names(found, "the list")
    raise _Unreadable(f"it holds {_kind(found)}; {_FORMS}")


def _of_names(found: Sequence[Any] | Mapping[Any, Any], where: str) -> ClassList:
    """A list of names, or names by number."""
    if isinstance(found, Mapping):
        numbered = _by_number(found)
        if numbered is None:
            raise _Unreadable(f"{where} must be a list of names, or map numbers to names")
        return numbered
    for name in found:
        _check_name(name, where)
    return [(name, None) for name in found]


def _of_mapping(found: Mapping[Any, Any]) -> ClassList:
    numbered = _by_number(found)
    if numbered is not None and _count(int(key) for key in found):
        return numbered
    if all(type(number) is int for number in found.values()) and _count(found.values()):
        for name in found:
            _check_name(name, "the mapping")
        return [(name, None) for name in sorted(found, key=lambda name: int(found[name]))]
    classes: ClassList = []
    for name, value in found.items():
        _check_name(name, "the mapping")
        texts = [value] if isinstance(value, str) else value
        if texts is not None and not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
            raise _Unreadable(
                f"{name!r} needs a list of prompts, or nothing for the templates, not {value!r:.80}; {_FORMS}"
            )
        classes.append((name, None if texts is None else tuple(texts)))
    return classes


def _by_number(found: Mapping[Any, Any]) -> ClassList | None:
    """Names in the order of their numbers, where that is what a mapping holds."""
    digits = {key for key in found if isinstance(key, str) and key.isdecimal() and len(key) < 19}
    numbers = {key: int(key) for key in found if type(key) is int or key in digits}
    if len(set(numbers.values())) < len(found) or not all(isinstance(name, str) for name in found.values()):
        return None
    return [(found[key], None) for key in sorted(found, key=lambda key: numbers[key])]


def _count(numbers: Iterable[int]) -> bool:
    """Whether these are 0, 1, 2 … or 1, 2, 3 …, in some order, and not none at all."""
    found = sorted(numbers)
    return bool(found) and found in (list(range(len(found))), list(range(1, len(found) + 1)))


def _check_name(name: Any, where: str) -> None:
    if isinstance(name, str):
        return
    said = read_as(name)
    if said is None:
        raise _Unreadable(f"{where} holds {_kind(name)} where a class name should be; {_FORMS}")
    raise _Unreadable(f"{where} holds {name!r} as a class name: YAML and JSON read it as {said}; put quotes around it")


def _of_text(text: str, *, is_csv: bool) -> ClassList:
    lines = [line.strip() for line in text.split("\n")]  # not by other line ends: these are odd in a name, and told
    lines = [line for line in lines if line and not _COMMENT.match(line)]
    if not lines:
        return []
    header = _columns(lines[0], is_csv=is_csv)
    if header is not None:
        return _of_table(lines, *header)
    for line in lines:
        if line.startswith("#"):
            raise _Unreadable(
                f"{line!r} may be a comment or a class: a comment has a blank behind `#`, a class is written `\\{line}`"
            )
    names = _without_numbers(lines)
    return [(name[1:] if name.startswith("\\#") else name, None) for name in names]


def _columns(line: str, *, is_csv: bool) -> tuple[str, int] | None:
    """The separator of a table and the column of its names, where the line is a header."""
    for separator in (",", ";", "\t"):
        columns = [column.strip().strip('"').casefold() for column in line.split(separator)]
        place = next((columns.index(name) for name in _NAME_COLUMNS if name in columns), None)
        if place is not None and (is_csv or len(columns) > 1):
            return separator, place
    return None


def _of_table(lines: list[str], separator: str, place: int) -> ClassList:
    classes: ClassList = []
    try:
        for row in csv.reader(lines[1:], delimiter=separator, skipinitialspace=True, strict=True):
            if any(cell.strip() for cell in row):
                if len(row) <= place:
                    raise _Unreadable(f"the row {row!r:.80} has no column {place + 1}, which line 1 says is the name")
                classes.append((row[place], None))
    except csv.Error as error:
        raise _Unreadable(f"it has a header as CSV has, but is no CSV: {error}") from error
    return classes


def _without_numbers(lines: list[str]) -> list[str]:
    """Names without numbers before or behind them, where these do nothing but count the lines."""
    for form in (_NUMBER_BEFORE, _NUMBER_BEHIND):
        found = [form.fullmatch(line) for line in lines]
        numbers = [int(match["number"]) for match in found if match is not None]
        names = [match["name"] for match in found if match is not None]
        if 1 < len(lines) == len(names) and numbers == sorted(numbers) and _count(numbers):
            if len(set(names)) < len(names):
                return lines  # `1 euro`, `2 euro`
            if all(_LETTER_FOLDER.match(name) for name in names):
                names = [_LETTER_FOLDER.sub("", name, count=1) for name in names]
            return names
    return lines


def _kind(found: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "a text", type(None): "nothing"}
    return kinds.get(type(found), f"{found!r:.40}")
