"""The snapshot: a worker's state at one moment, and the place in the anchors topic from which to go on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import SnapshotError
from stream_adapter.snapshots import file

_KIND = "worker snapshot"


@dataclass(frozen=True, eq=False, slots=True)
class Snapshot:
    """A worker's state at one moment. It saves time at a start and is never the only copy of anything.

    Attributes:
        created_at_ms: when the state was taken, milliseconds since the epoch.
        changelog: which changelog it is a state of, see `transport.kafka.topics.topic_identity`: offsets mean nothing
            in another one, not even in one of the same name that was made anew.
        offsets: for each partition of the changelog the first offset that is not in the state.
        facts: what other parts want to keep, as far as JSON can hold it.
        arrays: the adapter's state, see `adapter.state`, and other parts' arrays under names of their own.
    """

    fingerprint: str
    vocabulary_hash: str
    created_at_ms: int
    changelog: str
    offsets: Mapping[int, int]
    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[np.generic]] = field(default_factory=dict, repr=False)

    def write(self, path: Path) -> int:
        """Write it in one step, see `file.write`; returns the file's size in bytes."""
        facts = {
            "fingerprint": self.fingerprint,
            "vocabulary_hash": self.vocabulary_hash,
            "created_at_ms": self.created_at_ms,
            "changelog": self.changelog,
            "offsets": {str(partition): offset for partition, offset in self.offsets.items()},
            "facts": dict(self.facts),
        }
        return file.write(path, _KIND, file.Content(facts, self.arrays))

    @classmethod
    def read(cls, path: Path) -> "Snapshot":
        """Read one back."""
        content = file.read(path, _KIND)
        facts = content.facts
        try:
            return cls(
                fingerprint=str(facts["fingerprint"]),
                vocabulary_hash=str(facts["vocabulary_hash"]),
                created_at_ms=int(facts["created_at_ms"]),
                changelog=str(facts["changelog"]),
                offsets={int(partition): int(offset) for partition, offset in facts["offsets"].items()},
                facts=facts["facts"],
                arrays=content.arrays,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SnapshotError(f"{path}: facts: not those of a snapshot: {error!r}") from error
