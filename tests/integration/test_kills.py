"""A short run of `make kill-test`: workers are killed, stand still and lose their broker in the middle of a stream."""

from pathlib import Path

import pytest

from stream_adapter.demo.broker import LocalKafka
from tests.campaigns.kills import run_campaign


@pytest.mark.slow
@pytest.mark.parametrize(
    "disturbances",
    [{"kills": 6, "rescales": 2}, {"zombies": 2}, {"broker_restarts": 2}],
    ids=["kills", "zombies", "broker restarts"],
)
def test_every_event_counts_once_whatever_is_killed(
    local_kafka: LocalKafka, tmp_path: Path, disturbances: dict[str, int]
) -> None:
    report = run_campaign(local_kafka, tmp_path, **disturbances)
    assert report.events > 200 and report.labelled > 50
    assert (report.lost, report.doubled) == (0, 0), report.examples
    assert report.digests_equal and report.answers_equal, report.examples
