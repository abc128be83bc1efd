"""The table of docs/reliability.md: what is done to workers, what a user sees, what was mended because of it.

Written by hand; only that every fault has its row is tested.

python -m tests.faults.table     # writes it into the page
"""

from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: written in tests/faults/table.py -->\n", "<!-- end -->\n"


class Row(NamedTuple):
    """One fault."""

    done: str
    seen: str
    mended: str = "–"


ROWS: dict[str, Row] = {
    "kill": Row("SIGKILL at any moment", "its partitions move or wait for it; nothing else"),
    "kill while it starts": Row("SIGKILL three times within seconds", "the same"),
    "stand still": Row("SIGSTOP for 2 or 12 s", "others take over; it goes on, or ends `Fenced`"),
    "stop in order": Row("SIGTERM, and back after 3 s", "it drains and leaves"),
    "rebalance storm": Row("four workers stopped and started within seconds", "pauses of a second or two"),
    "broker killed": Row("SIGKILL to the broker, back within 2 s", "not ready for a moment, then it goes on"),
    "broker away, worker starts without": Row(
        "no broker for 20 s, while a worker starts",
        "alive, not ready, one line a minute, `transport_silent_seconds`, alert StreamAdapterNoAnswer",
        "it ended after 15 s; every question of the start is now asked again with growing pauses",
    ),
    "slow network": Row("every chunk held back by up to 200 ms", "latency"),
    "silent network": Row("a proxy that forwards nothing for 3 or 12 s", "not ready until it is over"),
    "connections reset": Row("every connection reset, five times", "aborted commits, tried again"),
    "hostile events": Row(
        "headers missing, doubled, not UTF-8; ids of 1 MB; years 1600 and 9999; terminal escapes; NaN, "
        "infinity, other lengths; odd pictures; JSON of all kinds",
        "a dead letter each, or a prediction; escapes are shown by their numbers",
        "ids, sources, labels and keys above 8 kB are dead letters; terminals, logs and errors show text harmlessly",
    ),
    "tombstones": Row("250 null values on the images topic", "`tombstones_total`"),
    "foreign records": Row(
        "another encoder's anchors, a newer version's, another application's records, garbage",
        "`records_set_aside_total` by reason, one line a minute, alert StreamAdapterForeignRecords",
        "one such record ended every worker, again at each restart; now only a majority of them stops a start",
    ),
    "anchors deleted from outside": Row("deletions of keys that nobody has", "nothing"),
    "disk full": Row(
        "no room for snapshots", "`snapshots_total{outcome=\"failed\"}`, alert StreamAdapterSnapshotsFailing"
    ),
    "disk read-only": Row(
        "the disk of the snapshots read-only",
        "the same",
        "a worker that started meanwhile ended; it now reads what is there and writes when it can",
    ),
    "few file descriptors": Row("a limit of 64 while all connections are reset", "nothing"),
    "outputs too large": Row(
        "the anchors topic takes no more than 1,500 bytes",
        "`outputs_too_large_total`, a line that names topic and size, alert StreamAdapterOutputsTooLarge",
        "one such record ended the worker; what fits is written, what the other would have taught is taken back",
    ),
    "partitions added": Row("the images topic grows", "they are read from their beginning within half a minute"),
    "wrong labels": Row("60 near-copies under a wrong name", "see below"),
    "two of one name": Row("a second process under a worker's name", "one of the two ends, `Fenced`, and says why"),
}  # fmt: skip


def table() -> str:
    """In Markdown."""
    lines = ["| fault | what is done | what a user sees | what was mended |", "|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(row)} |" for name, row in ROWS.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Put it into the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
