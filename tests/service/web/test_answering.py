"""How much is answered at once, in what order, and in which share of the time."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.service.web.answering import Share
from tests.fakes import FakeClock, picture
from tests.service.web.served import Served


def test_while_it_starts_and_while_too_much_is_asked_it_says_so_and_when_to_ask_again() -> None:
    served = Served(max_waiting=1, max_batch=1)
    try:
        status, answer, headers = served.request("POST", "/predict", b"cat 1")
        assert (status, headers["retry-after"]) == (503, "1")
        assert "still starting" in answer["error"]
        served.open()
        served.encoder.go_on.clear()
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(served.request, "POST", "/predict", b"cat 1") for _ in range(4)]
            deadline = time.monotonic() + 10
            while not any(one.done() for one in asked) and time.monotonic() < deadline:
                time.sleep(0.01)
            served.encoder.go_on.set()
            statuses = sorted(one.result()[0] for one in asked)
        assert statuses[0] == 200
        assert statuses[-1] == 503
    finally:
        served.stop()


def test_nobody_waits_for_another_one_s_picture(served: Served) -> None:
    """A reference to a slow server, or a picture that takes long to decode."""
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(served.request, "POST", "/predict", b"slow")
        assert served.encoder.decoding.wait(8)
        assert served.request("POST", "/predict", b"cat 1")[0] == 200
        assert not slow.done()
        served.encoder.decoded.set()
        assert slow.result()[0] == 200


def test_questions_that_wait_are_embedded_together(served: Served) -> None:
    sizes: list[int] = []
    encode = served.encoder.encode

    def counting(prepared: Any) -> Any:
        sizes.append(len(prepared))
        return encode(prepared)

    served.encoder.encode = counting  # type: ignore[method-assign]
    served.encoder.go_on.clear()

    def wait_for(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 8
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(served.request, "POST", "/predict", b"cat 1")]
        wait_for(lambda: sizes == [1])
        asked += [pool.submit(served.request, "POST", "/predict", b"cat 1") for _ in range(7)]
        wait_for(lambda: served.answering._questions.qsize() == 7)
        served.encoder.go_on.set()
        assert [one.result()[0] for one in asked] == [200] * 8
    assert sizes == [1, 7]


@settings(deadline=None)
@given(share=st.floats(0.01, 0.99), pieces=st.lists(st.floats(0.0, 0.5), min_size=1, max_size=50))
def test_work_takes_no_more_than_its_share_and_a_moment(share: float, pieces: list[float]) -> None:
    clock = FakeClock()
    bounded, worked = Share(share, clock), 0.0
    for seconds in pieces:
        clock.now_s += bounded.wait_s()
        assert worked <= share * clock.now_s + 0.2 + 1e-6
        clock.now_s += seconds
        bounded.spend(seconds)
        worked += seconds


def test_a_share_of_all_never_waits() -> None:
    free = Share(1.0, FakeClock())
    free.spend(100.0)
    assert free.wait_s() == 0.0


def test_predictions_are_answered_while_a_batch_is_embedded(served: Served) -> None:
    """The stream's own encode does not hold the adapter."""
    vectors = np.eye(1, served.processor.adapter.dimension, dtype=np.float32)
    served.encoder.go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(served.stream, picture("cat", 1, "cat"))
        assert served.processor.questions.answer(vectors)[0]["anchors"] == []
        assert not batch.done()
        served.encoder.go_on.set()
        batch.result(10)
    assert len(served.processor.questions.answer(vectors)[0]["anchors"]) == 1
