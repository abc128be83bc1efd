"""Changes the code in many small ways and tries whether a test notices: `make mutation-test`.

The last line is JSON. Survivors are printed; those that are known, with the reason, stand in `survivors.txt`.
"""

import argparse
import json
import math
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.mutation.coverage_map import CoverageMap, within_a_function
from tests.mutation.mutants import ROOT, Mutant, mutants_of
from tests.mutation.trying import Attempt, Outcome, attempt, attempts

FILES = (
    "stream_adapter/journey/*.py",
    "stream_adapter/adapter/mixture/*.py",
    "stream_adapter/adapter/anchors/*.py",
    "stream_adapter/adapter/confidence.py",
    "stream_adapter/adapter/protection.py",
    "stream_adapter/drift/guard.py",
    "stream_adapter/drift/guarded.py",
)
TESTS = (
    *("tests/adapter/mixture", "tests/adapter/anchors", "tests/adapter/test_confidence.py"),
    *("tests/adapter/test_protection.py", "tests/adapter/test_taking_back.py", "tests/adapter/test_adapter.py"),
    *("tests/drift/test_guard.py", "tests/drift/test_guarded.py", "tests/journey", "tests/adapter/test_classes.py"),
    *(
        "tests/service/test_moving_partitions.py",
        "tests/service/test_worker.py",
        "tests/service/test_pipeline.py",
        "tests/service/test_saving.py",
        "tests/formats",
    ),
)
KNOWN = Path(__file__).with_name("survivors.txt")
MAP = ROOT / "build" / "mutation" / "coverage.json"
_SLOWEST_S = 40.0  # of all tests that are run about one mutant, as they took under coverage


def main() -> None:
    """Try a share of all mutants; exit status 1 where too few are noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--files", nargs="*", default=[], help="patterns; by default the journey, the guard, the learner"
    )
    parser.add_argument("--share", type=float, default=0.05, help="of the lines that can be changed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds, beside what its tests take")
    parser.add_argument("--map", action="store_true", help="measure anew which tests run which line")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no other mutant after these")
    given = parser.parse_args()
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(MAP.parent / "hypothesis")
    if given.map or not MAP.exists():
        _map_anew()
    known = CoverageMap.load(MAP)
    chosen = _chosen(given.files or FILES, given.share, random.Random(given.seed))
    reasons = KNOWN.read_text() if KNOWN.exists() else ""
    outcomes, started = Counter[str](), time.monotonic()
    by_file: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one, outcome in _tried([_attempt(known, mutant, given.limit) for mutant in chosen]):
        how: str = outcome
        if outcome in ("survived", "no test"):
            shown = one.mutant.shown()
            how = "known" if shown.partition(" ")[2] in reasons else outcome
            print(f"{how}: {shown}", flush=True)
        outcomes[how] += 1
        by_file[one.mutant.path][how] += 1
        if time.monotonic() - started > 60 * given.minutes:
            break
    for path, found in sorted(by_file.items()):
        print(f"{path}: {dict(found)}")
    killed = outcomes["killed"] + outcomes["timeout"]
    judged = outcomes.total() - outcomes["known"]  # those that a test has to notice
    report = {"mutants": outcomes.total(), "killed_share": round(killed / max(1, judged), 4)}
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({**report, "interval": _interval(killed, judged), **outcomes, "seconds": seconds}))
    sys.exit(killed < 0.9 * judged)


def _tried(chosen: list[Attempt]) -> Iterator[tuple[Attempt, Outcome]]:
    """First what is inside of functions, which is quick; what runs at the import takes a process for each."""
    inside = [within_a_function(one.mutant.path, one.mutant.line) for one in chosen]
    _import_others()
    yield from attempts([one for one, within in zip(chosen, inside, strict=True) if within], TESTS)
    for one in (one for one, within in zip(chosen, inside, strict=True) if not within):
        yield one, attempt(one)


def _attempt(known: CoverageMap, mutant: Mutant, limit_s: float) -> Attempt:
    tests = _within(known, mutant)
    return Attempt(mutant, tests, limit_s + 3 * sum(known.seconds.get(test, 1.0) for test in tests))


def _interval(killed: int, judged: int) -> list[float]:
    """Of the share, 95 %, by Wilson's score."""
    z, n = 1.96, max(1, judged)
    centre, half = killed + z * z / 2, z * math.sqrt(killed * (n - killed) / n + z * z / 4)
    return [round((centre - half) / (n + z * z), 3), round((centre + half) / (n + z * z), 3)]


def _map_anew(files: tuple[str, ...] = TESTS) -> None:
    """A file of tests at a time, each in a process of its own: this one must not import anything of ours."""
    MAP.parent.mkdir(parents=True, exist_ok=True)
    found = CoverageMap.load(MAP) if files != TESTS else CoverageMap({}, {}, {})
    part = MAP.with_suffix(".part")
    for tests in (file for name in files for file in _files(ROOT / name)):
        pid = os.fork()
        if pid == 0:
            CoverageMap.measure([str(tests)], [str(ROOT / "stream_adapter")]).save(part)
            os._exit(0)
        if os.waitpid(pid, 0)[1]:  # too slow under `coverage`, perhaps; the change is then left to the others
            print(f"left out, because it fails as it is: {tests}", flush=True)
            continue
        found.add(CoverageMap.load(part))
        found.save(MAP)


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.glob("test_*.py"))


def _chosen(patterns: list[str] | tuple[str, ...], share: float, draw: random.Random) -> list[Mutant]:
    """One mutant each of a share of the lines of every file, in random order."""
    chosen: list[Mutant] = []
    for path in sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern)):
        lines: defaultdict[int, list[Mutant]] = defaultdict(list)
        for mutant in mutants_of(path):
            lines[mutant.line].append(mutant)
        number = min(len(lines), int(share * len(lines) + draw.random()))
        chosen += [draw.choice(lines[line]) for line in draw.sample(sorted(lines), number)]
    draw.shuffle(chosen)
    return chosen


def _within(known: CoverageMap, mutant: Mutant) -> list[str]:
    """The tests of its line, the fast ones, as many as fit into the time; at least ten.

    One that takes half of the time by itself, as a search for counterexamples does, comes last and takes it from none.
    """
    tests, slow, total = list[str](), list[str](), 0.0
    for test in known.tests_of(mutant.path, mutant.line):
        took = known.seconds.get(test, 1.0)
        if took > _SLOWEST_S / 2:
            slow.append(test)
            continue
        total += took
        if total > _SLOWEST_S and len(tests) >= 10:
            break
        tests.append(test)
    return [*tests, *slow[: max(1, 10 - len(tests))]]


def _import_others() -> None:
    """What takes longest to import, once for all forks."""
    import hypothesis  # noqa: F401
    import numpy  # noqa: F401
    import prometheus_client  # noqa: F401
    import pydantic  # noqa: F401
    import structlog  # noqa: F401
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
