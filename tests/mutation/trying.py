"""Tries one mutant: a forked process imports the changed module in place of the file, and runs the line's tests."""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Literal

import pytest

from tests.mutation.mutants import ROOT, Mutant

Outcome = Literal["killed", "timeout", "survived", "no test"]


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


def attempt(mutant: Mutant, tests: Sequence[str], limit_s: float) -> Outcome:
    """What its tests say.

    Args:
        mutant: the change.
        tests: their ids, in order; the first that fails ends it.
        limit_s: seconds after which the mutant counts as one that never ends.
    """
    if not tests:
        return "no test"
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os._exit(_run(mutant, tests))
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


def _run(mutant: Mutant, tests: Sequence[str]) -> int:
    """In the forked process, which has imported other packages, but nothing of ours."""
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    sys.meta_path.insert(0, _Changed(mutant))
    try:
        return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]))
    except BaseException:
        return 99
