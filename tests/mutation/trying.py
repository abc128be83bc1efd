"""Tries mutants: a forked process gets the changed code and runs the tests of its line.

What is changed in the body of a function is tried in forks of one process that has collected all tests: the function
gets its new code there. A change of what runs at the import needs a process that has imported nothing of ours.
"""

import contextlib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any, Literal, NamedTuple

import pytest

from tests.mutation.mutants import ROOT, Mutant

Outcome = Literal["killed", "timeout", "survived", "no test"]
_QUIET = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly")


class Attempt(NamedTuple):
    """One mutant to try.

    Attributes:
        tests: their ids, in order; the first that fails ends it.
        limit_s: seconds after which the mutant counts as one that never ends.
    """

    mutant: Mutant
    tests: Sequence[str]
    limit_s: float


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._module = mutant.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def find_spec(
        self, name: str, path: object, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._module:
            return None
        return importlib.util.spec_from_file_location(name, ROOT / self._mutant.path, loader=self)

    def get_source(self, fullname: str) -> str:
        return self._mutant.code

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._mutant.code, str(ROOT / self._mutant.path), "exec")


def attempt(one: Attempt) -> Outcome:
    """What its tests say of a change that the import makes; for a process that has imported nothing of ours."""

    def run() -> int:
        sys.meta_path.insert(0, _Changed(one.mutant))
        return int(pytest.main([*_QUIET, *one.tests]))

    return _forked(run, one.limit_s) if one.tests else "no test"


def attempts(all_of_them: Sequence[Attempt], files: Sequence[str]) -> Iterator[tuple[Attempt, Outcome]]:
    """What the tests say of changes in the bodies of functions, one after the other.

    Args:
        all_of_them: in this order.
        files: all tests, as pytest takes them.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _silence()
        plugin = _Trying(all_of_them, lambda outcome: os.write(write, f"{outcome}\n".encode()))
        with contextlib.suppress(BaseException):  # a pipe that is closed: nobody wants to know more
            pytest.main([*_QUIET, "-s", *files], plugins=[plugin])
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as lines:
        for one, line in zip(all_of_them, lines, strict=False):
            yield one, line.strip()  # type: ignore[misc]
    os.waitpid(pid, 0)


class _Trying:
    """Takes the place of pytest's own loop over the tests."""

    def __init__(self, all_of_them: Sequence[Attempt], report: Callable[[Outcome], object]) -> None:
        self._attempts = all_of_them
        self._report = report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        items = {item.nodeid: item for item in session.items}
        for one in self._attempts:
            chosen = [items[test] for test in one.tests if test in items]
            self._report(_forked(lambda one=one, chosen=chosen: _run(one.mutant, chosen), one.limit_s))  # type: ignore[misc]
        os._exit(0)


def _run(mutant: Mutant, items: Sequence[Any]) -> int:
    _exchange(mutant)
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return 1
    return 0


def _exchange(mutant: Mutant) -> None:
    """Give the functions of a module, wherever they are held, the changed code."""
    path = str(ROOT / mutant.path)
    changed = {_place(code): code for code in _codes(compile(mutant.code, path, "exec"))}
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename == path:
            function.__code__ = changed[_place(function.__code__)]


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _silence() -> None:
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)


def _forked(run: Callable[[], int], limit_s: float) -> Outcome:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        _silence()
        try:
            os._exit(run())
        except BaseException:
            os._exit(99)
    until = time.monotonic() + limit_s
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return "survived" if status == 0 else "killed"
        if time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "timeout"
        time.sleep(0.02)
