"""Anchors in a file of their own: to keep a state, to go back to it, or to move it to another cluster."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream_adapter.adapter.anchors.columns import AnchorColumns
from stream_adapter.config import Config
from stream_adapter.encode.loading import load_encoder
from stream_adapter.errors import FingerprintMismatch, SnapshotError
from stream_adapter.events import AnchorRecord, anchor_tombstone
from stream_adapter.journey.anchor_records import anchor_of, record_of_anchor
from stream_adapter.operations.anchors import writer
from stream_adapter.operations.history import PastState, Point, anchors_at
from stream_adapter.snapshots import file
from stream_adapter.transport.base import OutRecord
from stream_adapter.transport.opening import transport_of

_KIND = "anchors"
_PORTION = 5_000


@dataclass(frozen=True, slots=True)
class Import:
    """What importing a file comes to.

    Attributes:
        records: what has to be written, in order.
        new: anchors that were not there.
        changed: anchors that were there with another label, vector or time.
        unchanged: anchors that are there as they are in the file.
        deleted: anchors that are there and not in the file, with `replace`.
    """

    records: Sequence[OutRecord]
    new: int
    changed: int
    unchanged: int
    deleted: int


def export_anchors(config: Config, output: Path, at: str | None = None) -> PastState:
    """Write the anchors, as they are or were (`Point.parse`), into one checksummed file; returns what was written.

    Raises:
        AnchorError: `at` is no point in the anchors' history.
        FingerprintMismatch: there are anchors of several encoders.
        SnapshotError: the file cannot be written.
        TransportError: the anchors cannot be read.
    """
    state = anchors_at(config, Point.parse(at))
    anchors = list(state.anchors.values())
    fingerprints = {anchor.fingerprint for anchor in anchors}
    if len(fingerprints) > 1:
        raise FingerprintMismatch(
            f"{state.topic} has anchors of encoders {', '.join(sorted(fingerprints))}; delete those that no worker uses"
        )
    facts = {
        "fingerprint": next(iter(fingerprints), None),
        "labels": sorted({anchor.label for anchor in anchors}),
        "topic": state.topic,
        "offsets": {str(number): offset for number, offset in state.offsets.items()},
        "whole": state.whole,
        "exported_at_ms": int(time.time() * 1000),
    }
    vectors = np.stack([anchor.vector for anchor in anchors]) if anchors else np.empty((0, 0), np.float16)
    columns = AnchorColumns.of([anchor_of(anchor, anchor.label) for anchor in anchors], vectors)
    file.write(output, _KIND, file.Content(facts, columns.arrays("anchors")))
    return state


def plan_import(config: Config, path: Path, *, replace: bool = False) -> Import:
    """Compare a file with the anchors that are there, and say what has to be written for them to be as in the file.

    Anchors that are not in it are deleted with `replace` alone.

    Raises:
        FingerprintMismatch: the file is of another encoder.
        SnapshotError: the file cannot be read or not be trusted.
        EncoderError: the encoder cannot be loaded.
        TransportError: the anchors cannot be read.
    """
    wanted = _read(path)
    fingerprint = load_encoder(config.encoder).fingerprint
    foreign = {anchor.fingerprint for anchor in wanted.values()} - {fingerprint}
    if foreign:
        raise FingerprintMismatch(
            f"{path} has anchors of encoder {foreign.pop()}, the configuration is for {fingerprint}; use the encoder "
            "that made them, its vectors mean nothing to another one"
        )
    there = anchors_at(config, Point()).anchors
    strangers = [one for one in there.values() if one.fingerprint != fingerprint and one.anchor_id not in wanted]
    if strangers and not replace:
        raise FingerprintMismatch(
            f"{len(strangers)} anchors that are there, such as {strangers[0].anchor_id}, are of encoder "
            f"{strangers[0].fingerprint}, the configuration is for {fingerprint}; import into another topic "
            "(`kafka.topics.anchors`), or with --replace"
        )
    records: list[OutRecord] = []
    new = changed = 0
    for anchor_id, anchor in wanted.items():
        known = there.get(anchor_id)
        if known is not None and _same(known, anchor):
            continue
        if known is None:
            new += 1
        else:
            # Of two labels the newer one counts, in whatever order they are written; after a deletion any does.
            records.append(anchor_tombstone(anchor_id, writer()))
            changed += 1
        records.append(_record(anchor))
    gone = [anchor_id for anchor_id in there if anchor_id not in wanted] if replace else []
    records += [anchor_tombstone(anchor_id, writer()) for anchor_id in gone]
    return Import(records, new, changed, len(wanted) - new - changed, len(gone))


def write_import(config: Config, plan: Import, progress: Callable[[int], None] = lambda _: None) -> None:
    """Write what was planned; running workers follow. After an interruption, plan anew: what is there is left out."""
    transport = transport_of(config)
    for start in range(0, len(plan.records), _PORTION):
        portion = plan.records[start : start + _PORTION]
        transport.write(portion)
        progress(start + len(portion))


def _read(path: Path) -> dict[str, AnchorRecord]:
    """The anchors in a file, by id."""
    content = file.read(path, _KIND)
    try:
        anchors = AnchorColumns.from_arrays("anchors", content.arrays).anchors()
        return {anchor.anchor_id: record_of_anchor(anchor, content.facts["fingerprint"]) for anchor in anchors}
    except (KeyError, ValueError) as error:
        raise SnapshotError(f"{path}: not as this version writes it: {error}") from error


def _record(anchor: AnchorRecord) -> OutRecord:
    # It is ours to write, whoever owns the partition that it once came from.
    return dataclasses.replace(anchor.to_record(writer()), source=None)


def _same(one: AnchorRecord, other: AnchorRecord) -> bool:
    vectors = [record.vector.astype(np.float16).tobytes() for record in (one, other)]
    return (one.stamp, one.label) == (other.stamp, other.label) and vectors[0] == vectors[1]
