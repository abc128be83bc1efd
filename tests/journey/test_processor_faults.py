"""One event at which something fails that should not: it becomes a dead letter, and the stream goes on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from stream_adapter.encode.base import Prepared, Vectors
from stream_adapter.events import ImageEvent, prediction_record
from stream_adapter.journey import explaining
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import Partition
from tests.fakes import FakeEncoder, make_processor, picture, vectors_of
from tests.journey.running import Onlooker, outputs, predictions, run, value
from tests.learners import ClassMeans


def failing_at(monkeypatch: pytest.MonkeyPatch, what: str, *bad: tuple[str, int]) -> None:
    """The learner fails at these pictures."""
    poison = vectors_of(*bad)

    def fails(vectors: Any) -> bool:
        return bool(len(vectors)) and bool((np.abs(vectors[:, None] - poison).max(axis=2) < 1e-6).any())

    monkeypatch.setitem(ClassMeans.fails_at, what, fails)


@pytest.mark.parametrize(("what", "stage"), [("predict", "predict"), ("update", "learn")])
def test_an_event_at_which_the_learner_fails_is_a_dead_letter_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, what: str, stage: str
) -> None:
    metrics, observer = Metrics(), Onlooker()
    processor = make_processor(metrics=metrics, observer=observer)
    failing_at(monkeypatch, what, ("cat", 3))
    sent = [picture("cat", number, "cat") for number in range(6)]
    outcome = run(processor, *sent)
    (letter,) = outputs(outcome, "dead_letters")
    reasons = dict(letter.headers)
    assert letter.key == b"3" and letter.value == sent[3]["value"]
    assert reasons["__connect.errors.stage"].decode() == stage
    assert reasons["__connect.errors.exception.class.name"] == b"builtins.ZeroDivisionError"
    assert [one["event"]["id"] for one in predictions(outcome)] == ["0", "1", "2", "4", "5"]
    assert [one["event"]["id"] for one in observer.batches[0][2]] == ["0", "1", "2", "4", "5"]
    taught = {dict(one.headers)["event_id"] for one in outputs(outcome, "anchors")}
    assert taught == {b"0", b"1", b"2", b"4", b"5"}
    assert {anchor.origin.event_id for anchor in processor.adapter.anchors} == {"0", "1", "2", "4", "5"}
    assert value(metrics, "unexpected_errors_total", stage=stage) == 1
    assert value(metrics, "stage_failed_total", stage=stage) == 1
    monkeypatch.undo()  # it was mended: the event is sent again
    again = run(processor, sent[3])
    assert len(outputs(again, "anchors")) == 1, "its label is still news"


class Fussy(FakeEncoder):
    """Cannot embed some pictures, or nothing any more."""

    broken = False

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        bad = vectors_of(("cat", 3))[0]
        if self.broken or any(np.allclose(one, bad) for one in prepared):
            raise RuntimeError("misaligned address")
        return super().encode(prepared)

    def warm_up(self, batch: int = 8) -> None:
        self.encode([vectors_of(("dog", 0))[0]] * batch)


@pytest.mark.parametrize("others", [0, 5])
def test_a_picture_at_which_the_encoder_fails_is_a_dead_letter_and_the_rest_goes_on(others: int) -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics, encoder=Fussy())
    numbers = [3, *(n for n in range(6) if n != 3)][: 1 + others]
    outcome = run(processor, *(picture("cat", number, "cat") for number in sorted(numbers)))
    (letter,) = outputs(outcome, "dead_letters")
    assert letter.key == b"3" and dict(letter.headers)["__connect.errors.stage"] == b"encode"
    assert [one["event"]["id"] for one in predictions(outcome)] == [str(n) for n in sorted(numbers) if n != 3]
    assert value(metrics, "unexpected_errors_total", stage="encode") == 1


def test_a_batch_that_memory_has_no_room_for_goes_through_in_parts() -> None:
    class Short(FakeEncoder):
        def encode(self, prepared: Sequence[Prepared]) -> Vectors:
            if len(prepared) > 2:
                raise MemoryError
            return super().encode(prepared)

    outcome = run(make_processor(encoder=Short()), *(picture("cat", number, "cat") for number in range(7)))
    assert [one["event"]["id"] for one in predictions(outcome)] == [str(number) for number in range(7)]
    assert not outputs(outcome, "dead_letters")


@pytest.mark.parametrize("others", [0, 5])
def test_an_encoder_that_embeds_nothing_any_more_ends_the_worker_and_no_event(others: int) -> None:
    encoder = Fussy()
    processor = make_processor(encoder=encoder)
    run(processor, picture("cat", 1))
    encoder.broken = True
    with pytest.raises(RuntimeError, match="misaligned"):
        run(processor, *(picture("cat", number) for number in range(1 + others)))


def test_a_stream_of_faults_does_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics)
    failing_at(monkeypatch, "predict", ("cat", 3))
    with capture_logs() as said:
        for _ in range(3):
            run(processor, picture("cat", 3), picture("cat", 4))
    assert [line["event"] for line in said] == ["unexpected error"]
    assert value(metrics, "unexpected_errors_total", stage="predict") == 3


def test_a_learner_that_fails_at_everything_ends_the_worker_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processor = make_processor()
    monkeypatch.setitem(ClassMeans.fails_at, "update", lambda vectors: True)
    for sent in ([picture("cat", 1)], [picture("cat", 1, "cat"), picture("dog", 2)]):
        with pytest.raises(ZeroDivisionError):
            run(processor, *sent)
    assert processor.adapter.n_anchors == 0


def test_an_event_that_cannot_be_written_is_a_dead_letter_and_teaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics)

    def refuse(event: ImageEvent, *more: Any) -> Any:
        if event.id == "2":
            raise ValueError("out of range float values are not JSON compliant")
        return prediction_record(event, *more)

    monkeypatch.setattr(explaining, "prediction_record", refuse)
    outcome = run(processor, *(picture("cat", number, "cat") for number in range(4)))
    assert outcome.refused == ((Partition("images", 0), "explain"),)
    assert [one["event"]["id"] for one in predictions(outcome)] == ["0", "1", "3"]
    assert {anchor.origin.event_id for anchor in processor.adapter.anchors} == {"0", "1", "3"}
    assert value(metrics, "unexpected_errors_total", stage="explain") == 1
