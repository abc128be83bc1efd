import threading
from collections.abc import Sequence
from typing import Any

import pytest

from stream_adapter.page.requests import Busy, RequestQueue
from tests.fakes import FakeClock


class Views:
    """Counts how often the adapter is looked at, and by which thread."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def __call__(self, vectors: bool) -> Any:
        self.threads.append(threading.get_ident())
        return f"view {len(self.threads)}" + " with vectors" * vectors


def make_queue() -> tuple[RequestQueue, Views, FakeClock]:
    clock, views = FakeClock(), Views()
    requests = RequestQueue(clock)
    requests.open(views)
    return requests, views, clock


def test_nothing_is_looked_at_until_somebody_asks() -> None:
    requests, views, _ = make_queue()
    assert requests.serve() == ()
    assert views.threads == []


def test_however_many_ask_the_adapter_is_copied_once_a_second() -> None:
    requests, views, clock = make_queue()
    asked = [requests.view() for _ in range(50)]
    requests.serve()
    assert {future.result(0) for future in asked} == {"view 1"}
    clock.now_s = 0.9
    assert requests.view().result(0) == "view 1"
    clock.now_s = 1.1
    later = requests.view()
    assert not later.done()
    requests.serve()
    assert later.result(0) == "view 2"
    assert len(views.threads) == 2
    with_vectors = requests.view(vectors=True)
    assert not with_vectors.done(), "the newest one has none"
    requests.serve()
    assert with_vectors.result(0) == requests.view().result(0) == "view 3 with vectors"


def test_who_stops_waiting_does_not_take_it_from_the_others() -> None:
    requests, _, _ = make_queue()
    one, other = requests.view(), requests.view()
    assert not one.cancel()
    requests.serve()
    assert other.result(0) == "view 1"


def test_what_is_deleted_is_told_when_it_is_durable_and_seen_at_once() -> None:
    requests, _, _ = make_queue()
    requests.view()
    requests.serve()
    done = requests.forget(["a", "b"])
    (request,) = requests.serve()
    assert request.anchor_ids == ("a", "b")
    assert not done.done()
    request.durable(["a"])
    assert done.result(0) == ["a"]
    assert not requests.view().done(), "the view from before is not shown any more"


def test_deletions_do_not_pile_up_before_a_worker_that_is_stuck() -> None:
    requests, _, _ = make_queue()
    with pytest.raises(Busy):
        for _ in range(1_000):
            requests.forget(["a"])
    assert len(requests.serve()) == 64


def test_all_threads_are_served_by_the_owner_alone() -> None:
    requests, views, clock = make_queue()
    answers: list[Sequence[str]] = []

    def ask() -> None:
        for number in range(50):
            requests.view().result(10)
            answers.append(requests.forget([str(number)]).result(10))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        clock.now_s += 0.1
        for request in requests.serve():
            request.durable(request.anchor_ids)
    for thread in threads:
        thread.join()
    assert len(answers) == 200
    assert set(views.threads) == {threading.get_ident()}
