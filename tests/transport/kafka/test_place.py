"""Who a fenced worker takes its place back from; against a real broker in `tests/integration/test_fencing.py`."""

import time

import pytest
from kafka.errors import (
    FencedInstanceIdError,
    KafkaConnectionError,
    KafkaError,
    NotCoordinatorError,
    RebalanceInProgressError,
    RequestTimedOutError,
    UnknownMemberIdError,
)
from structlog.testing import capture_logs

from stream_adapter.transport.kafka import internals
from stream_adapter.transport.kafka.place import Place

LOST = [KafkaConnectionError(), RequestTimedOutError(), NotCoordinatorError()]
REFUSED = [FencedInstanceIdError(), RebalanceInProgressError(), UnknownMemberIdError()]


class Consumer:
    """Of a consumer, what a `Place` asks for."""

    forgot = 0

    def group_metadata(self) -> object:
        return type("Metadata", (), {"group_instance_id": "a", "member_id": "a-1", "generation_id": 7})


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    def forget(of: Consumer) -> None:
        of.forgot += 1

    monkeypatch.setattr(internals, "watch_joins", lambda consumer, ended: None)
    monkeypatch.setattr(internals, "watch_coordinator", lambda consumer, gone, found: None)
    monkeypatch.setattr(internals, "forget_member_id", forget)
    return Consumer()


def test_a_worker_whose_joins_were_answered_was_fenced_by_another(consumer: Consumer) -> None:
    place = Place(consumer)
    place._join_ended(None)
    with capture_logs() as lines:
        assert not place.take_back()
    assert consumer.forgot == 0
    (line,) = lines
    assert line.pop("seconds_since_join") < 60
    assert line == {
        "event": "fenced by another worker",
        "log_level": "error",
        "group_instance_id": "a",
        "member_id": "a-1",
        "generation": 7,
    }


@pytest.mark.parametrize("error", LOST, ids=repr)
@pytest.mark.parametrize("joined_since", [False, True])
def test_one_whose_join_was_lost_takes_its_place_back_once(
    consumer: Consumer, error: KafkaError, joined_since: bool
) -> None:
    place = Place(consumer)
    place._join_ended(error)
    if joined_since:
        place._join_ended(None)
    assert place.take_back() and consumer.forgot == 1
    place._join_ended(None)
    assert not place.take_back() and consumer.forgot == 1


@pytest.mark.parametrize("error", REFUSED, ids=repr)
def test_a_join_that_was_refused_was_not_lost(consumer: Consumer, error: KafkaError) -> None:
    place = Place(consumer)
    place._join_ended(error)
    assert not place.take_back()


def test_what_was_lost_long_ago_comes_no_more(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(consumer)
    place._join_ended(KafkaConnectionError())
    place._join_ended(None)
    joined_at = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: joined_at + 121.0)
    assert not place.take_back()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    return now_s


@pytest.mark.parametrize(("away_s", "node"), [(5.0, "1"), (0.1, "2")], ids=["away", "another one"])
def test_for_a_minute_after_its_coordinator_came_back_a_worker_joins_anew(
    consumer: Consumer, clock: list[float], away_s: float, node: str
) -> None:
    """What it answers with meanwhile it may have read in part: it may be wrong more than once."""
    place = Place(consumer)
    place._coordinator_found("1")
    place._join_ended(None)
    clock[0] += 1_000.0
    place._coordinator_gone()
    clock[0] += away_s
    place._coordinator_found(node)
    for _ in range(3):
        clock[0] += 15.0
        assert place.take_back()
        place._join_ended(None)
    clock[0] += 30.0
    assert not place.take_back() and consumer.forgot == 3


def test_a_connection_that_was_reset_is_no_reason_to_doubt(consumer: Consumer, clock: list[float]) -> None:
    place = Place(consumer)
    place._coordinator_found("1")
    place._join_ended(None)
    place._coordinator_gone()
    clock[0] += 0.2
    place._coordinator_found("1")
    assert not place.take_back()
