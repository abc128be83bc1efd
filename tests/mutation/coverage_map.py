"""Which tests run which line, and how long each takes."""

import ast
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import coverage
import pytest

from tests.mutation.mutants import ROOT

_BELOW = 40  # lines
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class CoverageMap:
    """Tests by line: those of the module's own file first, and the fast ones first.

    Args:
        lines: of each file, from the root of the repository, its lines and the tests that run them.
        seconds: of each test.
        digests: of each file, as it was then; one that has changed since is looked up as a whole.
    """

    def __init__(
        self, lines: dict[str, dict[int, list[str]]], seconds: dict[str, float], digests: dict[str, str]
    ) -> None:
        self._lines = lines
        self._digests = digests
        self.seconds = seconds

    def tests_of(self, path: str, line: int) -> list[str]:
        """Those that run this line.

        Of a line that only the import runs those of the lines below it, because it is mostly the head of a function;
        for a constant, whose function may be anywhere, the rest of the file's, or where it has none of its folder's.
        """
        lines = self._lines.get(path, {})
        # What a fixture of a module runs counts for its first test alone; those of the module's own file count always.
        own = {test for test in self.seconds if f"/test_{Path(path).stem}.py" in test}
        found = own | set(lines.get(line, ()))
        if not within_a_function(path, line) or self._digests.get(path) != _digest(path):
            below = {test for n in range(line, line + _BELOW) for test in lines.get(n, ())}
            found = own | {test for tests in lines.values() for test in tests} or self._of_folder(path)
            return [*self._in_order(path, below), *self._in_order(path, found - below)]
        return self._in_order(path, found)

    def _of_folder(self, path: str) -> set[str]:
        beside = [lines for name, lines in self._lines.items() if Path(name).parent == Path(path).parent]
        return {test for lines in beside for tests in lines.values() for test in tests}

    def _in_order(self, path: str, tests: set[str]) -> list[str]:
        own = f"/test_{Path(path).stem}.py"
        return sorted(tests, key=lambda test: (own not in test, self.seconds.get(test, 1.0), test))

    def add(self, other: "CoverageMap") -> None:
        """Take in what other tests run."""
        self.seconds |= other.seconds
        self._digests |= other._digests
        for path, lines in other._lines.items():
            for line, tests in lines.items():
                self._lines.setdefault(path, {}).setdefault(line, []).extend(tests)

    def save(self, file: Path) -> None:
        """As JSON."""
        file.write_text(json.dumps({"lines": self._lines, "seconds": self.seconds, "digests": self._digests}))

    @classmethod
    def load(cls, file: Path) -> "CoverageMap":
        """What `save` wrote."""
        stored = json.loads(file.read_text())
        lines = {path: {int(line): tests for line, tests in found.items()} for path, found in stored["lines"].items()}
        return cls(lines, stored["seconds"], stored["digests"])

    @classmethod
    def measure(cls, tests: Sequence[str], packages: Sequence[str]) -> "CoverageMap":
        """Run the tests once under `coverage`.

        Raises:
            SystemExit: one of them fails as it is.
        """
        measuring = coverage.Coverage(data_file=None, source=list(packages), config_file=False)
        switching = _Switching(measuring)
        measuring.start()
        status = pytest.main(["-q", "-p", "no:cacheprovider", "--timeout=300", *tests], plugins=[switching])
        measuring.stop()
        if status != 0:
            raise SystemExit(f"pytest ended with {status}")
        data = measuring.get_data()
        lines: dict[str, dict[int, list[str]]] = {}
        for file in data.measured_files():
            of_file: defaultdict[int, list[str]] = defaultdict(list)
            for line, contexts in data.contexts_by_lineno(file).items():
                of_file[line] += [context for context in contexts if context]
            lines[str(Path(file).relative_to(ROOT))] = dict(of_file)
        return cls(lines, switching.seconds, {path: _digest(path) for path in lines})


def _digest(path: str) -> str:
    return hashlib.blake2b((ROOT / path).read_bytes(), digest_size=8).hexdigest()


@cache
def _bodies(path: str) -> list[range]:
    functions = (node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, _FUNCTIONS))
    return [range(node.body[0].lineno, (node.end_lineno or 0) + 1) for node in functions]


def within_a_function(path: str, line: int) -> bool:
    """Whether this line runs at a call, and not once for all when some test was the first to import it."""
    return any(line in body for body in _bodies(path))


class _Switching:
    """Tells `coverage` which test runs."""

    def __init__(self, measuring: coverage.Coverage) -> None:
        self._measuring = measuring
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        self._measuring.switch_context(item.nodeid)
        started = time.perf_counter()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = round(time.perf_counter() - started, 3)
            self._measuring.switch_context("")
