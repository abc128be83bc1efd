"""Records of the changelog that this worker cannot use."""

from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from stream_adapter.errors import FingerprintMismatch
from stream_adapter.events import PresenceRecord
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.changelog import Change, change_of
from tests.fakes import make_processor, picture
from tests.journey.running import outputs, run


def changed(anchor: OutRecord, **headers: str) -> OutRecord:
    texts = {**dict(anchor.headers), **{name: text.encode() for name, text in headers.items()}}
    return replace(anchor, headers=tuple(texts.items()))


def as_changes(*records: OutRecord) -> list[Change]:
    images = Partition("anchors", 0)
    return [change_of(Record(images, n, 0, one.key, one.value, one.headers)) for n, one in enumerate(records)]


def test_records_that_are_not_this_workers_are_set_aside_and_stop_nothing() -> None:
    """Each stands in the compacted topic where an anchor was, which is gone there for whoever starts tomorrow."""
    teacher = make_processor()
    anchors = outputs(run(teacher, *(picture("dog", n, "dog") for n in range(9))), "anchors")
    metrics = Metrics()
    processor = make_processor(metrics=metrics)
    processor.apply(as_changes(*anchors))
    processor.warm_up()
    short = replace(anchors[2], value=np.full(4, 0.5, "<f2").tobytes())
    foreign = [
        changed(anchors[0], fingerprint="other"),
        changed(anchors[1], format="2"),
        short,
        replace(anchors[3], value=b"\x00", headers=()),
        replace(anchors[4], key=None),
        replace(anchors[4], key=b"\xff"),
        OutRecord("anchors", b"somebody else's", b'{"a": 1}', ()),
        PresenceRecord("evidence/other", b"x", "other", "v").to_record("w"),
    ]
    with capture_logs() as said:
        for _ in range(50):
            processor.apply(as_changes(*foreign))
    assert {anchor.anchor_id.encode() for anchor in processor.adapter.anchors} == {one.key for one in anchors[4:]}
    sample = metrics.registry.get_sample_value
    counted = {
        reason: sample("stream_adapter_records_set_aside_total", {"reason": reason})
        for reason in ("other_encoder", "other_length", "newer_format", "garbage")
    }
    assert counted == {"other_encoder": 100, "other_length": 50, "newer_format": 50, "garbage": 200}
    assert len(said) == 1, "no flood of lines"
    newcomer = make_processor()
    newcomer.apply(as_changes(*anchors[4:], *foreign))
    newcomer.warm_up()
    assert newcomer.adapter.anchors_digest == processor.adapter.anchors_digest


def test_a_start_at_which_most_anchors_are_another_encoders_stops() -> None:
    anchors = outputs(run(make_processor(), *(picture("dog", n, "dog") for n in range(9))), "anchors")
    theirs = [changed(anchor, fingerprint="other") for anchor in anchors]
    tolerant, strict = make_processor(), make_processor()
    tolerant.apply(as_changes(*theirs[:4], *anchors[4:]))
    tolerant.warm_up()
    assert tolerant.adapter.n_anchors == 5
    tolerant.apply(as_changes(*theirs[4:]))
    assert tolerant.adapter.n_anchors == 0
    tolerant.warm_up()  # of those that come later none is remembered
    strict.apply(as_changes(*theirs[:5], *anchors[5:]))
    with pytest.raises(FingerprintMismatch, match=r"5 of 9 .*other.*fake-encoder.*kafka\.topics\.anchors"):
        strict.warm_up()
    garbage = make_processor()
    garbage.apply(as_changes(*[OutRecord("anchors", b"%d" % n, b"{}") for n in range(100)]))
    garbage.warm_up()
