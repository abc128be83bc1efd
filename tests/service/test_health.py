import pytest

from stream_adapter.service.health import Health


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_loop_without_progress_is_not_alive() -> None:
    clock = Clock()
    health = Health(stuck_after_s=10.0, clock=clock)
    clock.now_s = 9.9
    assert health.alive
    clock.now_s = 10.0
    assert not health.alive
    health.progress()
    assert health.alive


def test_ready_only_when_every_condition_is_met() -> None:
    health = Health(10.0, Clock())
    assert health.missing == ["restored", "model_warm", "partitions_assigned"]
    for condition in ("restored", "model_warm", "partitions_assigned"):
        assert health.missing
        health.set(condition, True)
    assert health.missing == []
    health.set("partitions_assigned", False)
    assert health.missing == ["partitions_assigned"]


def test_started_needs_no_partitions() -> None:
    health = Health(10.0, Clock())
    for condition in Health.START:
        assert not health.started
        health.set(condition, True)
    assert health.started
    assert health.missing == ["partitions_assigned"]


def test_a_transport_that_is_asked_and_does_not_answer_makes_it_unready() -> None:
    clock = Clock()
    health = Health(60.0, clock)
    for condition in Health.CONDITIONS:
        health.set(condition, True)
    with health.asking():
        clock.now_s = 5.0
        assert health.missing == []
        clock.now_s = 5.1
        assert health.missing == ["transport_answers"] and health.state == "no_answer"
    assert health.missing == []


def test_a_misspelt_condition_is_refused() -> None:
    with pytest.raises(KeyError, match="unknown condition 'warm'"):
        Health(10.0, Clock()).set("warm", True)


def test_the_state_is_one_word() -> None:
    clock = Clock()
    health = Health(10.0, clock)
    assert health.state == "restoring"
    health.set("restored", True)
    assert health.state == "restoring"
    health.set("model_warm", True)
    assert health.state == "not_assigned"
    health.set("partitions_assigned", True)
    assert health.state == "ready"
    health.set("transport_answers", False)
    assert health.state == "no_answer" and health.missing == ["transport_answers"]
    health.set("transport_answers", True)
    health.drain()
    assert health.state == "draining"
    clock.now_s = 10.0
    assert health.state == "stuck"
