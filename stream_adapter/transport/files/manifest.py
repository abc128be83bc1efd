"""A list of pictures: a table with a header (CSV), or JSON lines, with `path` and perhaps label, id, time, source."""

import csv
import difflib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.events.headers import parse_time
from stream_adapter.events.names import canonical_name
from stream_adapter.events.reference import Reference, scheme_of
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files.pictures import picture_record

COLUMNS = ("path", "label", "id", "time", "source")
SUFFIXES = (".csv", ".tsv")
"""Of files that are tables whatever is in them."""

_SEPARATORS = (",", ";", "\t", "|")  # spreadsheets take what the language of the machine makes of a comma
_NOTHING = "".join(_SEPARATORS) + " \r\n"
_SHOWN_PROBLEMS = 10

# Under None: fields beyond the header's, or why the row cannot be read.
Row = dict[str | None, Any]


class ManifestInput:
    """The pictures that a manifest lists, in its order; its rows and its pictures are read one by one.

    Relative paths are relative to the manifest's folder. The whole manifest is checked at the start, so that a mistake
    in line 100,000 shows before the work and not in its midst; missing pictures show only when they are read. A place
    is a row number: rows may be appended between two runs. Rows without anything in them do not count.

    In place of a path a row may have a reference, such as `s3://bucket/key`: then the event refers to it.

    Columns may be named in any case, and be separated by commas, semicolons, tabs or bars. A path that is not there is
    looked for with slashes in place of the backslashes that Windows writes.
    """

    def __init__(self, path: Path, *, labels: bool) -> None:
        self._path = path
        self._labels = labels
        self._separator: str | None = None
        self.partition = Partition(path.name, 0)
        self._length = 0
        problems: list[str] = []
        try:
            self._separator = _separator(path)
            for line, row in self._rows():
                self._length += 1
                problem = _problem(row)
                if problem:
                    problems.append(f"line {line}: {problem}")
        except OSError as error:
            raise TransportError(f"cannot read manifest {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            problems.append(f"after row {self._length}: not UTF-8, {error.reason}; save it as UTF-8")
        except csv.Error as error:
            problems.append(f"after row {self._length}: {error}")
        if not self._length and not problems:
            problems.append("it lists no picture")
        if problems:
            shown = "".join(f"\n  - {problem}" for problem in problems[:_SHOWN_PROBLEMS])
            more = f"\n  - and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
            raise TransportError(f"manifest {path} is wrong:{shown}{more}")

    def __len__(self) -> int:
        return self._length

    def records(self, start: int) -> Iterator[Record]:
        """The pictures from row `start` on (the first one is 0)."""
        for offset, row in enumerate(itertools.islice(self._read_again(), start, None), start):
            elsewhere = bool(scheme_of(row["path"]))
            name = row["path"] if elsewhere else self._found(row["path"])
            time = row.get("time") or None
            yield picture_record(
                name if elsewhere else self._path.parent / name,
                self.partition,
                offset,
                id=str(row.get("id") or name),
                source=row.get("source") or None,
                label=(canonical_name(row.get("label") or "") or None) if self._labels else None,
                time_ms=parse_time(time) if time else None,
            )

    def mark(self, offset: int) -> str | None:
        """None: the row number says it all."""

    def place(self, offset: int, mark: str | None) -> int:
        """The row at which a run goes on that stopped at `offset`."""
        return min(offset, self._length)

    def _found(self, path: str) -> str:
        """The path as it is found here."""
        portable = path.replace("\\", "/")
        folder = self._path.parent
        return portable if portable != path and not _is_file(folder / path) and _is_file(folder / portable) else path

    def _read_again(self) -> Iterator[Row]:
        try:
            for _, row in self._rows():
                yield row
        except OSError as error:
            raise TransportError(f"cannot read manifest {self._path}: {error.strerror}") from error

    def _rows(self) -> Iterator[tuple[int, Row]]:
        """Rows with the number of the line that they end in."""
        with self._path.open(encoding="utf-8-sig", newline="") as file:
            if self._separator is None:
                for line, text in enumerate(file, 1):
                    if text.strip():
                        yield line, _parsed(text)
                return
            reader = csv.reader(file, delimiter=self._separator, skipinitialspace=True, strict=True)
            names: list[str] = []
            for cells in reader:
                filled = [cell.strip() for cell in cells]
                if not any(filled):
                    continue
                if not names:
                    names = [_key(name) for name in filled]
                    self._check_columns(names)
                    continue
                row: Row = dict(zip(names, filled, strict=False))
                surplus = [cell for cell in filled[len(names) :] if cell]
                yield reader.line_num, row | {None: surplus} if surplus else row
            if not names:
                self._check_columns(names)

    def _check_columns(self, names: Sequence[str]) -> None:
        wrong = f"manifest {self._path} is wrong:"
        if "path" not in names:
            raise TransportError(f"{wrong} line 1 must name a column `path`, found {', '.join(names) or 'none'}")
        twice = next((name for name in COLUMNS if names.count(name) > 1), None)
        if twice is not None:
            raise TransportError(f"{wrong} line 1 names the column `{twice}` more than once")
        for name in set(names) - set(COLUMNS):
            near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.75)
            if near:  # other columns are the user's own and do not concern us
                raise TransportError(f"{wrong} column {name!r} in line 1; did you mean {near[0]!r}?")


def _separator(path: Path) -> str | None:
    """What separates the columns of a table; None for JSON lines."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = next((line for line in file if line.strip(_NOTHING)), "")
    if path.suffix.lower() not in SUFFIXES and (not first or first.lstrip().startswith("{")):
        return None
    for separator in _SEPARATORS:
        if "path" in map(_key, next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])):
            return separator
    return _SEPARATORS[0]


def _key(name: str) -> str:
    return name.strip().casefold()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a null character
        return False


def _parsed(text: str) -> Row:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {None: f"not JSON: {error}"}
    if not isinstance(row, dict):
        return {None: f"must be a JSON object, found {type(row).__name__}"}
    return {_key(name): value.strip() if isinstance(value, str) else value for name, value in row.items()}


def _is_text(value: str, *, of_file: bool) -> bool:
    """Whether it is whole characters, which JSON's escapes need not be; files may have names that are not UTF-8."""
    try:
        value.encode("utf-8", "surrogateescape" if of_file else "strict")
    except UnicodeEncodeError:
        return False
    return True


def _problem(row: Row) -> str | None:
    """What is wrong with a row, or None."""
    if None in row:
        surplus = row[None]
        return surplus if isinstance(surplus, str) else f"has more fields than line 1: {', '.join(surplus)}"
    for name in COLUMNS:
        value = row.get(name)
        if value is not None and not isinstance(value, str) and not (name == "id" and isinstance(value, int)):
            return f"`{name}` must be text, found {value!r}"
        if isinstance(value, str) and not _is_text(value, of_file=name == "path" and not scheme_of(value)):
            return f"`{name}` holds half of a character, in {value!r}; write the whole character, or leave it out"
    if not row.get("path"):
        return "`path` is missing or empty"
    try:
        if scheme_of(row["path"]):
            Reference.parse(row["path"])
        if row.get("time"):
            parse_time(row["time"])
    except MalformedEvent as error:
        return str(error)
    return None
