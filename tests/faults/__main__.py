"""Faults at random for MINUTES: `make fault-campaign` and `make soak`. The last line is JSON."""

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

from stream_adapter.demo.broker import LocalKafka
from tests.faults.campaign import as_line, run_faults

# A broker that is fenced, or elected anew, while it reads who is in a group goes on in the midst of it (4.3.1, see
# docs/reliability.md), and then nothing is exactly once. So a busy one is not taken for dead at once, and has little to
# read.
_BROKER = {
    "broker.session.timeout.ms": "9000",
    "broker.heartbeat.interval.ms": "2000",
    "offsets.topic.segment.bytes": str(2**20),
}


def main() -> None:
    """Run a campaign on a broker of its own; exit status 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--rate", type=float, default=40.0, help="events a second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], help="a kind of fault; by default all")
    parser.add_argument("--soak", action="store_true", help="let one worker live, which must stay as large as it was")
    parser.add_argument("--broker-away", action="store_true", help="no fault but this one, for all of the time")
    parser.add_argument("--folder", type=Path, help="keep logs here")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fault-campaign-")))
        folder.mkdir(parents=True, exist_ok=True)
        kafka = stack.enter_context(LocalKafka(settings=_BROKER))
        report = run_faults(
            kafka,
            folder,
            seconds=60 * given.minutes,
            workers=given.workers,
            rate=given.rate,
            seed=given.seed,
            only=given.only,
            spare_one=given.soak,
            broker_away=given.broker_away,
        )
    print(as_line(report))
    sys.exit(not report.good or (given.soak and not report.flat))


if __name__ == "__main__":
    main()
