"""One parser under atheris, by the coverage of our own code: `make fuzz-guided` runs it for each.

python -m tests.faults.guided PARSER SECONDS FOLDER
"""

import contextlib
import logging
import sys
import tempfile
from pathlib import Path

import atheris
import structlog

with atheris.instrument_imports(include=["stream_adapter"]):  # torch and pydantic would take minutes, and say nothing
    from tests.faults.parsers import PARSERS


def main() -> None:
    """Does not return: the fuzzer ends the process, with status 0 where nothing unexpected came out."""
    name, seconds, keep = sys.argv[1:]
    (parser,) = (one for one in PARSERS if one.name == name)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    def one(data: bytes) -> None:
        with contextlib.suppress(*parser.promised):
            parser.parse(data)

    corpus = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for number, seed in enumerate(parser.seeds):
        (corpus / str(number)).write_bytes(seed)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={keep}/", "-rss_limit_mb=4096", str(corpus)]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
