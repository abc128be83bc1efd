"""Every parser under mutated inputs: `make fuzz`. Nothing but the errors that it promises may come out of one.

    python -m tests.faults.fuzz --inputs 1000000          # mutations of sound inputs
    python -m tests.faults.fuzz --seconds 60 --guided     # by coverage, where atheris is installed

Inputs that break something are kept in a folder; `--again FILE` tries one.
"""

import argparse
import json
import logging
import random
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import structlog

from tests.faults.parsers import PARSERS, Parser

_LONGEST = 20_000
_JSON_VALUE = re.compile(rb'(?<=[:\[,])\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|\[[^\[\]]*\])')


def mutated(draw: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with a few changes, or parts of two."""
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice([1, 1, 2, 3, 5, 9])):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(10):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                data[at:at] = draw.randbytes(draw.choice([1, 2, 4, 30]))
            case 2:
                del data[at : at + draw.choice([1, 2, 5, 40])]
            case 3:
                if data:
                    data[at % len(data)] ^= 1 << draw.randrange(8)
            case 4:
                other = draw.choice(seeds)
                start = draw.randrange(len(other) + 1)
                data[at:at] = other[start : start + draw.randrange(200)]
            case 5:
                data[at:at] = draw.choice(_TOKENS)
            case 6:
                end = min(len(data), at + draw.randrange(1, 60))
                data[at:at] = data[at:end] * draw.choice([1, 2, 20])
            case 7:
                del data[at:]
            case _:
                values = list(_JSON_VALUE.finditer(data))
                if values:
                    start, end = draw.choice(values).span(1)
                    data[start:end] = draw.choice(_TOKENS)
    return bytes(data[:_LONGEST])


_TOKENS = [
    *(b"9" * 400, b"-" + b"9" * 19, b"1e400", b"[[]]", b'"\\ud800"', b'"x"', b"7", b"0.5", b"-1e30", b'{"a": 1}'),
    *(b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"-1", b"0", b"1e999", b"NaN", b"Infinity", b"null"),
    *(
        b"true",
        b'""',
        b"[]",
        b"{}",
        b"9" * 5_000,
        b"\\ud800",
        b"\xed\xa0\x80",
        b"\xc3\xa9",
        b"\n",
        b"\t",
        b"\r\n",
        b"'",
    ),
    *(
        b"!!python/object:os.system",
        b"&a *a",
        b"<<: *a",
        b"---",
        b"${HOME}",
        b"${",
        b"%s",
        b"\x1b[2J",
        b"../",
        b"[" * 999,
    ),
]


def fuzz(parser: Parser, seconds: float, seed: int, keep: Path, most: float = float("inf")) -> tuple[int, int]:
    """Feed a parser.

    Returns:
        How many inputs it got, and how many of them ended in what it does not promise.
    """
    draw, number, broken = random.Random(seed), 0, set[str]()
    until_s = time.monotonic() + seconds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while number < most and time.monotonic() < until_s:
            data = mutated(draw, parser.seeds)
            number += 1
            try:
                parser.parse(data)
            except parser.promised:
                pass
            except Exception as error:
                where = f"{type(error).__name__} in {_place(error)}"
                if where not in broken:
                    broken.add(where)
                    path = keep / f"{parser.name.replace(' ', '-')}-{len(broken)}"
                    path.write_bytes(data)
                    print(f"{parser.name}: {where}: {error!s:.200} ({path})", file=sys.stderr)
    return number, len(broken)


def _place(error: BaseException) -> str:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame = traceback.tb_frame if traceback is not None else None
    return f"{frame.f_code.co_filename}:{traceback.tb_lineno}" if frame is not None and traceback is not None else "?"


def main() -> None:
    """The last line is JSON; exit status 1 where anything unexpected came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0, help="of a round through all parsers")
    parser.add_argument("--inputs", type=int, default=0, help="rounds go on until there were so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one parser")
    parser.add_argument("--guided", action="store_true", help="by coverage, with atheris")
    parser.add_argument("--again", type=Path, help="try one input on the parser of --only")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="for inputs that break something")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    given.keep.mkdir(parents=True, exist_ok=True)
    chosen = [one for one in PARSERS if given.only in (None, one.name)]
    if given.again is not None:
        chosen[0].parse(given.again.read_bytes())
        return
    inputs, broken = Counter[str](), Counter[str]()
    for one in chosen if given.guided else ():
        command = [sys.executable, "-m", "tests.faults.guided", one.name, str(int(given.seconds / len(chosen)))]
        command.append(str(given.keep))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        broken[one.name] += done.returncode != 0
        inputs[one.name] += _runs(done.stderr)
        if done.returncode:
            print(done.stderr[-3_000:], file=sys.stderr)
    seed = given.seed
    while not given.guided and (inputs.total() < given.inputs or seed == given.seed):
        for one in chosen:
            tried, failed = fuzz(one, given.seconds / len(chosen), seed, given.keep)
            inputs[one.name] += tried
            broken[one.name] += failed
        seed += 1
    print(json.dumps({"inputs": inputs.total(), "uncaught": broken.total(), "by_parser": inputs}))
    sys.exit(any(broken.values()))


def _runs(said: str) -> int:
    done = [line.split()[1] for line in said.splitlines() if line.startswith("Done ")]
    return int(done[-1]) if done else 0


if __name__ == "__main__":
    main()
