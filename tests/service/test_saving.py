"""A worker that goes on from a snapshot, on in-memory transports."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.config import SnapshotsConfig
from stream_adapter.errors import SnapshotError
from stream_adapter.events.class_record import ClassRecord
from stream_adapter.service.saving import Snapshots
from stream_adapter.snapshots import SnapshotFolder
from stream_adapter.transport.memory import MemoryChangelog, MemorySource, MemoryTransport
from tests.fakes import CLASSES, picture, vectors_of
from tests.learners import ClassMeans
from tests.service.rig import Rig


class Saving(Rig):
    """A worker that keeps snapshots; `read` counts the changes that it had to read at its start."""

    def __init__(self, folder: Path, source: MemorySource, changelog: MemoryChangelog | None = None) -> None:
        super().__init__(source)
        if changelog is not None:
            self.changelog = self.worker._changelog = changelog
        self.folder = SnapshotFolder(folder)
        self.snapshots = Snapshots(
            self.folder,
            SnapshotsConfig(folder=folder),
            parts=self.processor.parts,
            changelog=self.changelog,
            fingerprint="fake-encoder",
            executor=InlineExecutor(),
            metrics=self.metrics,
            clock=time.monotonic,
        )
        self.worker._snapshots = self.snapshots

    def run(self) -> "Saving":
        self.worker.run()
        self.folder.close()
        return self


def labelled(numbers: range) -> MemorySource:
    source = MemorySource()
    for number in numbers:
        source.add(**picture("cat", number, "cat" if number % 2 else None))
    return source


def outcome(rig: Rig, name: str) -> float:
    return rig.metrics.registry.get_sample_value("stream_adapter_snapshots_total", {"outcome": name}) or 0.0


def probe(rig: Rig) -> Any:
    from tests.journey.running import predictions, run

    (prediction,) = predictions(run(rig.processor, picture("dog", 999)))
    return {name: prediction[name] for name in ("top", "gate", "anchors", "versions")}


def test_a_start_takes_the_snapshot_and_of_the_changelog_only_what_came_since(tmp_path: Path) -> None:
    first = Saving(tmp_path, labelled(range(100))).run()
    assert outcome(first, "written") == 1
    known, since = first.changelog.positions[0], Saving(tmp_path / "other", labelled(range(200, 210))).run()
    for change in since.changelog._changes:
        first.changelog.write(change)
    first.changelog._changes = [replace(change, own=False) for change in first.changelog._changes]  # a new process
    second = Saving(tmp_path, MemorySource(), first.changelog)
    second.changelog._next = 0
    read: list[int] = []
    take = second.processor.apply
    second.processor.apply = lambda changes, *more, **named: (  # type: ignore[method-assign]
        read.append(len(changes)) or take(changes, *more, **named)
    )
    second.worker.restore()
    assert outcome(second, "restored") == 1
    assert sum(read) == len(first.changelog._changes) - known == len(since.changelog._changes)
    assert second.processor.adapter.n_anchors == 55
    fresh = Rig(MemorySource(), restored=first.changelog._changes)
    fresh.worker.restore()
    assert fresh.processor.adapter.anchors_digest == second.processor.adapter.anchors_digest
    assert probe(fresh) == probe(second)


def test_labels_and_accuracy_are_known_after_a_restart(tmp_path: Path) -> None:
    first = Saving(tmp_path, labelled(range(60))).run()
    second = Saving(tmp_path, labelled(range(60)), first.changelog)
    second.worker.run()
    count = second.metrics.registry.get_sample_value
    assert count("stream_adapter_labels_total", {"outcome": "repeated"}) == 30
    assert not count("stream_adapter_labels_total", {"outcome": "learned"})


def test_what_was_never_committed_is_not_in_a_snapshot(tmp_path: Path) -> None:
    rig = Saving(tmp_path, MemorySource())
    from tests.journey.running import run

    run(rig.processor, picture("cat", 1, "cat"))  # learned, and its commit never comes
    assert rig.processor.adapter.n_anchors == 1
    rig.snapshots.finish()
    rig.folder.close()
    again = Saving(tmp_path, MemorySource(), rig.changelog)
    again.worker.restore()
    assert outcome(again, "restored") == 1
    assert again.processor.adapter.n_anchors == 0
    run(again.processor, picture("cat", 1, "cat"))  # the event comes again, and is news
    assert again.processor.adapter.n_anchors == 1


def learner_of(rig: Rig) -> ClassMeans:
    """The learner under the guard."""
    learner = rig.processor.adapter._learner._learner  # type: ignore[attr-defined]
    assert isinstance(learner, ClassMeans)
    return learner


@pytest.mark.parametrize("other_classes", [False, True])
def test_a_snapshot_stays_valid_whatever_became_of_the_classes(tmp_path: Path, other_classes: bool) -> None:
    first = Saving(tmp_path, labelled(range(40))).run()
    assert len(learner_of(first).keys) == 40 and learner_of(first).followed
    second = Saving(tmp_path, MemorySource(), first.changelog)
    if other_classes:
        said = [ClassRecord("zebra", vector=vectors_of(("dog", 9))[0]), ClassRecord("feline", text_of="cat")]
        said += [ClassRecord("cat", alias_of="feline"), ClassRecord("dog", removed=True)]
        MemoryTransport(second.source, second.sink).write([record.to_record() for record in said])
    second.worker.restore()
    assert outcome(second, "restored") == 1
    assert len(learner_of(second).keys) == 40
    assert learner_of(second).followed == learner_of(first).followed, "what workers publish names its classes"
    adapter = second.processor.adapter
    assert adapter.n_anchors == first.processor.adapter.n_anchors == 20
    assert {anchor.label for anchor in adapter.anchors} == {"feline" if other_classes else "cat"}
    expected = ("horse", "house", "zebra", "feline") if other_classes else CLASSES
    assert tuple(adapter.classes.names) == expected
    assert second.processor.parts.watching.guard.damping.shape == (len(expected),)


def test_nothing_of_a_snapshot_stays_whose_last_part_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Saving(tmp_path, labelled(range(40))).run()
    second = Saving(tmp_path, MemorySource(), MemoryChangelog())  # a changelog in which nothing is left

    def refuse(state: Any) -> None:
        raise SnapshotError("of another form")

    monkeypatch.setattr(type(second.processor.parts), "restore", lambda parts, state: refuse(state))
    monkeypatch.setattr(second.changelog, "go_on_from", lambda positions: True)
    second.worker.restore()
    assert first.processor.adapter.n_anchors == 20
    assert second.processor.adapter.n_anchors == 0
    assert learner_of(second).keys == []


@pytest.mark.parametrize("damage", ["a byte", "the changelog", "its length"])
def test_a_snapshot_that_does_not_fit_is_set_aside_and_the_changelog_read_from_its_beginning(
    tmp_path: Path, damage: str
) -> None:
    first = Saving(tmp_path, labelled(range(40))).run()
    changelog = first.changelog
    if damage == "a byte":
        (path,) = tmp_path.glob("snapshot-*.bin")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "the changelog":
        changelog.identity = "made anew"
    else:
        changelog._changes = changelog._changes[:3]  # it does not reach as far as the snapshot
    second = Saving(tmp_path, MemorySource(), changelog)
    changelog._next = 0
    with capture_logs() as logs:
        second.worker.restore()
    assert [entry["event"] for entry in logs].count("discarded a snapshot") == 1
    anchors = {change.key for change in changelog._changes if not change.key.startswith("presence/")}
    assert second.processor.adapter.n_anchors == len(anchors)


def test_a_snapshot_that_never_comes_is_not_shown_as_a_fresh_one(tmp_path: Path) -> None:
    now = [100.0]
    rig = Saving(tmp_path, MemorySource())
    snapshots = Snapshots(
        rig.folder,
        SnapshotsConfig(folder=tmp_path, every_s=1e6),
        parts=rig.processor.parts,
        changelog=rig.changelog,
        fingerprint="fake-encoder",
        executor=InlineExecutor(),
        metrics=rig.metrics,
        clock=lambda: now[0],
    )
    now[0] = 1_000.0
    snapshots.poll()
    shown = rig.metrics.registry.get_sample_value
    assert shown("stream_adapter_snapshot_age_seconds") == 900.0
    assert shown("stream_adapter_snapshot_interval_seconds") == 1e6
    rig.folder.close()
