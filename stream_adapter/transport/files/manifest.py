"""A list of pictures: CSV with a header line, or JSON lines, with `path` and optionally label, id, time and source."""

import csv
import difflib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.events.headers import parse_time
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files.pictures import picture_record

COLUMNS = ("path", "label", "id", "time", "source")

_SHOWN_PROBLEMS = 10

# Under None: fields beyond the header's, as `csv` has it, or why the row cannot be read.
Row = dict[str | None, Any]


class ManifestInput:
    """The pictures that a manifest lists, in its order; its rows and its pictures are read one by one.

    Relative paths are relative to the manifest's folder. The whole manifest is checked at the start, so that a mistake
    in line 100,000 shows before the work and not in its midst; missing pictures show only when they are read. A place
    is a row number: rows may be appended between two runs.

    Args:
        path: the manifest, `*.csv` or JSON lines.
        labels: whether the column `label` is used.

    Raises:
        TransportError: the manifest cannot be read; the message lists the problems with their line numbers.
    """

    def __init__(self, path: Path, *, labels: bool) -> None:
        self._path = path
        self._labels = labels
        self._is_csv = path.suffix.lower() == ".csv"
        self.partition = Partition(path.name, 0)
        self._length = 0
        problems: list[str] = []
        try:
            for line, row in self._rows():
                self._length += 1
                problem = _problem(row)
                if problem:
                    problems.append(f"line {line}: {problem}")
        except OSError as error:
            raise TransportError(f"cannot read manifest {path}: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
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
        for offset, (_, row) in enumerate(itertools.islice(self._rows(), start, None), start):
            path = self._path.parent / row["path"]
            time = row.get("time") or None
            yield picture_record(
                path,
                self.partition,
                offset,
                id=str(row.get("id") or row["path"]),
                source=row.get("source") or None,
                label=(row.get("label") or None) if self._labels else None,
                time_ms=parse_time(time, 0) if time else None,
            )

    def mark(self, offset: int) -> str | None:
        """None: the row number says it all."""

    def place(self, offset: int, mark: str | None) -> int:
        """The row at which a run goes on that stopped at `offset`."""
        return min(offset, self._length)

    def _rows(self) -> Iterator[tuple[int, Row]]:
        """Rows with the number of the line that they end in."""
        with self._path.open(encoding="utf-8-sig", newline="") as file:
            if self._is_csv:
                reader = csv.DictReader(file, strict=True)
                self._check_columns(reader.fieldnames or [])
                for row in reader:
                    yield reader.line_num, row
                return
            for line, text in enumerate(file, 1):
                if text.strip():
                    yield line, _parsed(text)

    def _check_columns(self, names: Any) -> None:
        if "path" not in names:
            raise TransportError(
                f"manifest {self._path} is wrong: line 1 must name a column `path`, found {', '.join(names) or 'none'}"
            )
        for name in set(names) - set(COLUMNS):
            near = difflib.get_close_matches(name.lower().strip(), COLUMNS, n=1, cutoff=0.75)
            if near:  # other columns are the user's own and do not concern us
                raise TransportError(
                    f"manifest {self._path} is wrong: column {name!r} in line 1; did you mean {near[0]!r}?"
                )


def _parsed(text: str) -> Row:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {None: f"not JSON: {error}"}
    return row if isinstance(row, dict) else {None: f"must be a JSON object, found {type(row).__name__}"}


def _problem(row: Row) -> str | None:
    """What is wrong with a row, or None."""
    if None in row:
        surplus = row[None]
        return surplus if isinstance(surplus, str) else f"has more fields than line 1: {', '.join(surplus)}"
    for name in COLUMNS:
        value = row.get(name)
        if value is not None and not isinstance(value, str) and not (name == "id" and isinstance(value, int)):
            return f"`{name}` must be text, found {value!r}"
    if not row.get("path"):
        return "`path` is missing or empty"
    try:
        parse_time(row.get("time") or None, 0)
    except MalformedEvent as error:
        return str(error).replace("ce_time", "time")
    return None
