"""A short run of `make fault-campaign`: every event has one outcome, whatever breaks."""

from pathlib import Path

import pytest

from stream_adapter.demo.broker import LocalKafka
from tests.faults.campaign import run_faults

FAULTS = (
    *("hostile events", "foreign records", "outputs too large", "connections reset", "few file descriptors"),
    *("kill while it starts", "disk full", "tombstones", "partitions added", "anchors deleted from outside"),
)


@pytest.mark.slow
@pytest.mark.timeout(900)  # on a machine with other things to do; alone it takes a minute or two
def test_every_event_has_one_outcome_whatever_breaks(local_kafka: LocalKafka, tmp_path: Path) -> None:
    report = run_faults(local_kafka, tmp_path, seconds=10.0, workers=2, only=FAULTS)
    assert report.faults >= 2 and report.events > 100
    assert report.good, report
