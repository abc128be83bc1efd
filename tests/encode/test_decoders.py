"""Decoding in threads, of which one may hang for ever."""

import threading
import time
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from stream_adapter.encode.decoders import Decoders
from stream_adapter.errors import UndecodableImage
from stream_adapter.metrics import Metrics
from tests.fakes import FakeEncoder, make_processor, picture
from tests.journey.running import outputs, predictions, run


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a picture waits for that hangs."""
    event = threading.Event()
    yield event
    event.set()


def test_results_and_errors_come_as_from_any_pool() -> None:
    with Decoders(2, 60.0) as pool:
        assert list(pool.map(lambda n: n * n, range(20))) == [n * n for n in range(20)]
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result(10)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(int)


def test_one_that_hangs_fails_and_the_others_are_decoded_by_another_thread(hanging: threading.Event) -> None:
    with Decoders(1, 0.2) as pool, capture_logs() as said:
        stuck, behind = pool.submit(hanging.wait), [pool.submit(int, n) for n in range(5)]
        with pytest.raises(UndecodableImage, match=r"after 0\.2 s.*encoder\.decode_s"):
            stuck.result(10)
        assert [future.result(10) for future in behind] == list(range(5))
        hanging.set()  # it comes back after all, and finds that nobody waits
        assert pool.submit(int, "7").result(10) == 7
    assert [line["event"] for line in said] == ["gave up a picture that was being decoded, and its thread"]


def test_many_that_hang_hold_up_little_more_than_one(hanging: threading.Event) -> None:
    with Decoders(2, 1.0) as pool:
        started = time.monotonic()
        for stuck in [pool.submit(hanging.wait) for _ in range(32)]:
            with pytest.raises(UndecodableImage):
                stuck.result(10)
        assert time.monotonic() - started < 8.0, "32 of them, two at a time, a second each, would be 16"
        assert pool.submit(int, 3).result(10) == 3


def test_work_that_was_cancelled_is_not_begun(hanging: threading.Event) -> None:
    with Decoders(1, 60.0) as pool:
        first, second = pool.submit(hanging.wait), pool.submit(pytest.fail, "it was begun")
        assert second.cancel()
        hanging.set()
        assert first.result(10) and pool.submit(int, 3).result(10) == 3


def test_a_picture_that_hangs_is_a_dead_letter_and_the_rest_of_its_batch_is_predicted(hanging: threading.Event) -> None:
    class Hanging(FakeEncoder):
        def prepare(self, data: bytes, content_type: str) -> object:  # type: ignore[override]
            if data == b"cat 3":
                hanging.wait()
            return super().prepare(data, content_type)

    metrics = Metrics()
    with Decoders(2, 0.3) as pool:
        processor = make_processor(metrics=metrics, encoder=Hanging())
        processor._reader._decoders = pool
        outcome = run(processor, *(picture("cat", number) for number in range(8)))
    (letter,) = outputs(outcome, "dead_letters")
    assert letter.key == b"3" and dict(letter.headers)["__connect.errors.stage"] == b"decode"
    assert len(predictions(outcome)) == 7
