"""A short run of `make kill-test`: workers are killed, stand still and lose their broker in the middle of a stream."""

from pathlib import Path

import pytest

from stream_adapter.demo.broker import LocalKafka
from tests.campaigns.kills import run_campaign


@pytest.mark.slow
def test_every_event_counts_once_whatever_is_killed(local_kafka: LocalKafka, tmp_path: Path) -> None:
    report = run_campaign(local_kafka, tmp_path, kills=5, rescales=1, zombies=1, broker_restarts=1)
    assert report.events > 200 and report.labelled > 50
    assert (report.lost, report.doubled) == (0, 0), report.examples
    assert report.digests_equal and report.answers_equal, report.examples
