"""Saves snapshots without end; the tests kill it. Run as a module, with the folder as its argument."""

import sys
from pathlib import Path

import numpy as np

from stream_adapter.snapshots import Snapshot, SnapshotFolder


def numbered(number: int) -> Snapshot:
    """A snapshot whose parts all say which one it is."""
    array = np.full(50_000, number, np.int64)
    return Snapshot("encoder", "vocabulary", number, "topic", {0: number}, {"number": number}, {"array": array})


def whole(snapshot: Snapshot) -> bool:
    """Whether all parts say the same."""
    number = snapshot.created_at_ms
    return snapshot.facts == {"number": number} and bool((snapshot.arrays["array"] == number).all())


if __name__ == "__main__":
    folder = SnapshotFolder(Path(sys.argv[1]))
    found = folder.newest(fingerprint="encoder", changelog="topic")
    number = 0 if found is None else found.created_at_ms
    while True:
        number += 1
        folder.save(numbered(number))
        print(number, flush=True)
