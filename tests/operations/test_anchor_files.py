"""Export and import on the file transport; on Kafka in `tests/integration/test_anchor_files.py`."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from stream_adapter.config import Config
from stream_adapter.errors import FingerprintMismatch, SnapshotError
from stream_adapter.events import AnchorRecord, anchor_tombstone
from stream_adapter.operations.anchor_files import export_anchors, plan_import, write_import
from stream_adapter.operations.anchors import read_anchors
from stream_adapter.snapshots import file
from stream_adapter.transport.opening import transport_of
from tests.operations.anchor_records import config_on_files, fingerprint, record


def configured(folder: Path, *anchors: AnchorRecord) -> Config:
    folder.mkdir()
    config = config_on_files(folder / "results")
    transport_of(config).write([anchor.to_record("w") for anchor in anchors])
    return config


def contents(config: Config) -> dict[str, tuple[object, ...]]:
    """Everything about every anchor."""
    return {
        key: (*dataclasses.astuple(dataclasses.replace(anchor, vector=np.empty(0)))[2:], anchor.vector.tobytes())
        for key, anchor in sorted(read_anchors(config).items())
    }


def test_a_file_carries_everything_to_another_place(tmp_path: Path) -> None:
    one = configured(tmp_path / "one", *(record(n, "dog" if n % 2 else "cat") for n in range(20)))
    other = configured(tmp_path / "other")
    state = export_anchors(one, tmp_path / "out")
    assert len(state.anchors) == 20
    plan = plan_import(other, tmp_path / "out")
    assert (plan.new, plan.changed, plan.unchanged, plan.deleted) == (20, 0, 0, 0)
    progress: list[int] = []
    write_import(other, plan, progress.append)
    assert contents(other) == contents(one) and len(contents(one)) == 20
    assert progress == [20]
    again = plan_import(other, tmp_path / "out")
    assert (again.records, again.unchanged) == ([], 20)


def test_an_import_goes_back_over_corrections_and_deletions(tmp_path: Path) -> None:
    config = configured(tmp_path / "one", record(1), record(2), record(3))
    before = contents(config)
    export_anchors(config, tmp_path / "out")
    transport_of(config).write([
        record(1, "dog", time_ms=99).to_record("w"),
        anchor_tombstone(record(2).anchor_id, "w"),
        record(4).to_record("w"),
    ])  # fmt: skip
    plan = plan_import(config, tmp_path / "out", replace=True)
    assert (plan.new, plan.changed, plan.unchanged, plan.deleted) == (1, 1, 1, 1)
    write_import(config, plan)
    assert contents(config) == before
    assert plan_import(config, tmp_path / "out", replace=True).records == []


def test_without_replace_what_is_not_in_the_file_stays(tmp_path: Path) -> None:
    config = configured(tmp_path / "one", record(1))
    export_anchors(config, tmp_path / "out")
    transport_of(config).write([record(2).to_record("w")])
    assert plan_import(config, tmp_path / "out").records == []


def test_an_earlier_state_is_exported(tmp_path: Path) -> None:
    config = configured(tmp_path / "one", record(1), record(2))
    transport_of(config).write([record(3).to_record("w")])
    assert len(export_anchors(config, tmp_path / "now").anchors) == 3
    assert len(export_anchors(config, tmp_path / "then", at="2").anchors) == 2
    transport_of(config).write([anchor_tombstone(record(1).anchor_id, "w")])
    assert len(export_anchors(config, tmp_path / "erased", at="2").anchors) == 1, (
        "what is deleted is overwritten: no earlier state has it"
    )


def test_no_anchors_are_exported_and_imported_too(tmp_path: Path) -> None:
    config = configured(tmp_path / "one")
    export_anchors(config, tmp_path / "out")
    transport_of(config).write([record(1).to_record("w")])
    assert plan_import(config, tmp_path / "out", replace=True).deleted == 1


def test_vectors_of_two_encoders_never_meet(tmp_path: Path) -> None:
    foreign = dataclasses.replace(record(1), fingerprint="0123456789abcdef")
    other = configured(tmp_path / "other", foreign)
    export_anchors(other, tmp_path / "foreign")
    ours = configured(tmp_path / "ours", record(2))
    export_anchors(ours, tmp_path / "out")
    with pytest.raises(
        FingerprintMismatch, match=f"of encoder 0123456789abcdef, the configuration is for {fingerprint()}"
    ):
        plan_import(ours, tmp_path / "foreign")
    with pytest.raises(FingerprintMismatch, match="1 anchors that are there"):
        plan_import(other, tmp_path / "out")
    assert plan_import(other, tmp_path / "out", replace=True).deleted == 1
    transport_of(ours).write([foreign.to_record("w")])
    with pytest.raises(FingerprintMismatch, match="has anchors of encoders"):
        export_anchors(ours, tmp_path / "mixed")


def test_a_file_that_is_damaged_or_something_else_is_refused(tmp_path: Path) -> None:
    config = configured(tmp_path / "one", record(1))
    export_anchors(config, tmp_path / "out")
    data = bytearray((tmp_path / "out").read_bytes())
    data[-1] ^= 1
    (tmp_path / "damaged").write_bytes(data)
    with pytest.raises(SnapshotError, match="checksum"):
        plan_import(config, tmp_path / "damaged")
    file.write(tmp_path / "snapshot", "worker snapshot", file.Content({}, {}))
    with pytest.raises(SnapshotError, match="holds 'worker snapshot', expected 'anchors'"):
        plan_import(config, tmp_path / "snapshot")
    file.write(tmp_path / "strange", "anchors", file.Content({"fingerprint": "f"}, {}))
    with pytest.raises(SnapshotError, match="no array"):
        plan_import(config, tmp_path / "strange")
