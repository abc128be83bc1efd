"""State on the disk: files of which nothing is believed unchecked, and the folder where a worker keeps them.

What cannot be read, trusted or written is a `SnapshotError`.
"""

from stream_adapter.snapshots.folder import SnapshotFolder
from stream_adapter.snapshots.snapshot import Snapshot
from stream_adapter.snapshots.snapshotter import Snapshotter, Written

__all__ = ["Snapshot", "SnapshotFolder", "Snapshotter", "Written"]
