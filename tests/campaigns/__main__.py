"""Kill workers again and again in the middle of a stream, and count what was lost or doubled: `make kill-test`."""

import argparse
import contextlib
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stream_adapter.demo.broker import LocalKafka
from tests.campaigns.kills import run_campaign


def main() -> None:
    """Run a campaign on a broker of its own; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--broker-restarts", type=int, default=0)
    parser.add_argument("--zombies", type=int, default=0)
    parser.add_argument("--rescales", type=int, default=0)
    parser.add_argument("--late", type=int, default=0, help="1: labels come apart from their events")
    parser.add_argument("--rate", type=float, default=60.0, help="events a second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep logs here")
    given = parser.parse_args()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    total = given.kills + given.broker_restarts + given.zombies + given.rescales
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kill-test-")))
        folder.mkdir(parents=True, exist_ok=True)
        kafka = stack.enter_context(LocalKafka())
        bar = stack.enter_context(Progress(*columns, console=Console(stderr=True)))
        task = bar.add_task("disturbances", total=total)
        report = run_campaign(
            kafka,
            folder,
            kills=given.kills,
            broker_restarts=given.broker_restarts,
            zombies=given.zombies,
            rescales=given.rescales,
            workers=given.workers,
            rate=given.rate,
            seed=given.seed,
            late=bool(given.late),
            progressed=lambda: bar.advance(task),
        )
    print(json.dumps(asdict(report)))
    miscounted = report.lost + report.doubled + report.labels_lost + report.labels_doubled
    sys.exit(not (miscounted == 0 and report.digests_equal and report.answers_equal))


if __name__ == "__main__":
    main()
