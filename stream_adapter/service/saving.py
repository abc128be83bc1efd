"""The worker's snapshots: what goes into one, when, and back again."""

import time
from collections.abc import Callable
from concurrent.futures import Executor

import structlog

from stream_adapter.config import SnapshotsConfig
from stream_adapter.errors import SnapshotError, VocabularyError
from stream_adapter.journey.parts import Parts
from stream_adapter.journey.state import JourneyState
from stream_adapter.metrics import Metrics
from stream_adapter.service.heap import uncollected
from stream_adapter.snapshots import Snapshot, SnapshotFolder, Snapshotter, Written
from stream_adapter.transport.changelog import Changelog

log = structlog.get_logger(__name__)


class Snapshots:
    """Saves what the parts of a journey know, and restores it. Used by the thread that owns them."""

    def __init__(
        self,
        folder: SnapshotFolder,
        config: SnapshotsConfig,
        *,
        parts: Parts,
        changelog: Changelog,
        fingerprint: str,
        executor: Executor,
        metrics: Metrics,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._parts = parts
        self._changelog = changelog
        self._fingerprint = fingerprint
        self._metrics = metrics
        self._clock = clock
        self._wall_clock = wall_clock
        self._started_at = clock()
        metrics.snapshot_interval.set(config.every_s)
        self._snapshotter = Snapshotter(
            folder, config.every_s, executor, clock(), written=self._written, failed=self._failed
        )

    @uncollected()
    def restore(self) -> bool:
        """Take over the newest state that can be trusted, and set the changelog to go on from there.

        Returns:
            False where there is none: the changelog begins at its beginning.
        """
        kept_ms = self._changelog.deletions_kept_ms
        oldest_ms = None if kept_ms is None else int(self._wall_clock() * 1000) - kept_ms
        parts = self._parts
        blank, classes = {**parts.adapter.copy().finish().arrays(), **parts.adapter.learner_state()}, parts.classes.now
        while True:
            snapshot = self._folder.newest(
                fingerprint=self._fingerprint, changelog=self._changelog.identity, oldest_ms=oldest_ms
            )
            if snapshot is None:
                return False
            try:
                state = JourneyState.of(snapshot.arrays, snapshot.facts)
                if not self._changelog.go_on_from(snapshot.offsets):
                    raise SnapshotError(f"the anchors topic does not have its positions {dict(snapshot.offsets)}")
                # As it was, under its own classes; then over to those of now, as a worker that never stopped.
                parts.classes.use(state.classes)
                parts.adapter.restore(snapshot.arrays)
                parts.restore(state)
                parts.classes.use(classes)
                parts.positions.update(snapshot.offsets)
            except (SnapshotError, VocabularyError) as error:
                self._folder.discard_newest(str(error))
                # Nothing of it may stay: its deletions may be gone from the topic that is read from its beginning now.
                parts.labels.replica.set_aside.anchors.clear()
                parts.classes.use(classes)
                parts.adapter.restore(blank)
                self._changelog.go_on_from({})
                continue
            self._metrics.snapshots.labels(outcome="restored").inc()
            log.info("restored a snapshot", anchors=parts.adapter.n_anchors, taken_ms=snapshot.created_at_ms)
            return True

    def poll(self) -> None:
        """Between batches: begin, go on with or finish one, as it is due."""
        self._snapshotter.step(self._clock(), lambda: _Copy(self))
        age_s = self._snapshotter.age_s(self._clock())
        # Before the first one at least so much: a disk that never takes one must not look like a fresh snapshot.
        self._metrics.snapshot_age.set(age_s if age_s is not None else self._clock() - self._started_at)

    def finish(self) -> None:
        """A last one, when the stream has come to rest."""
        self._snapshotter.finish(self._clock(), lambda: _Copy(self))

    def _written(self, written: Written) -> None:
        self._metrics.snapshots.labels(outcome="written").inc()
        self._metrics.snapshot_seconds.observe(written.seconds)
        self._metrics.snapshot_bytes.set(written.bytes)

    def _failed(self, error: SnapshotError) -> None:
        self._metrics.snapshots.labels(outcome="failed").inc()


class _Copy:
    """The state in the making, see `snapshots.Copying`."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._of = snapshots
        self._anchors = snapshots._parts.adapter.copy()

    def run(self) -> None:
        self._anchors.run()

    def finish(self) -> Callable[[], Snapshot]:
        of = self._of
        anchors = self._anchors.finish(unconfirmed=of._parts.labels.replica.unconfirmed)
        state = of._parts.state()
        offsets, changelog = dict(of._parts.positions), of._changelog.identity
        created_at_ms = int(of._wall_clock() * 1000)

        def pack() -> Snapshot:
            return Snapshot(
                fingerprint=of._fingerprint,
                vocabulary_hash=state.classes.hash,
                created_at_ms=created_at_ms,
                changelog=changelog,
                offsets=offsets,
                facts=state.facts(),
                arrays={**anchors.arrays(), **state.arrays()},
            )

        return pack
