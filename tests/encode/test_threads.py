from collections.abc import Iterator

import numpy as np
import pytest
import torch

from stream_adapter.encode.threads import with_threads
from tests.fakes import FakeEncoder


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Counting(FakeEncoder):
    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.threads: list[int] = []
        self.fails = fails

    def encode(self, prepared):  # type: ignore[no-untyped-def]
        self.threads.append(torch.get_num_threads())
        if self.fails:
            raise ZeroDivisionError
        return super().encode(prepared)

    def warm_up(self, batch: int = 8) -> None:
        self.threads.append(torch.get_num_threads())


@pytest.mark.parametrize(("given", "expected"), [(3, 3), (None, 5)])
def test_an_encoder_has_threads_of_its_own_and_all_else_has_one(given: int | None, expected: int) -> None:
    torch.set_num_threads(5)
    counting = Counting()
    encoder = with_threads(counting, given, "cpu")
    assert torch.get_num_threads() == 1
    encoder.warm_up()
    encoder.encode([encoder.prepare(b"cat 1", "")])
    assert (counting.threads, torch.get_num_threads()) == ([expected, expected], 1)
    assert (encoder.d, encoder.fingerprint) == (counting.d, counting.fingerprint)


@pytest.mark.parametrize("pictures", [2, 3, 4, 7])
def test_a_batch_is_shared_out_and_comes_back_in_order(pictures: int) -> None:
    counting = Counting()
    encoder = with_threads(counting, 3, "cpu")
    batch = [encoder.prepare(f"cat {number}".encode(), "") for number in range(pictures)]
    expected = FakeEncoder().encode(batch)
    np.testing.assert_array_equal(encoder.encode(batch), expected)
    assert counting.threads == [1] * min(pictures, 3)


def test_a_part_that_fails_fails_the_batch_when_all_are_done() -> None:
    counting = Counting(fails=True)
    with pytest.raises(ZeroDivisionError):
        with_threads(counting, 3, "cpu").encode([counting.prepare(b"cat 1", "")] * 5)
    assert len(counting.threads) == 3


def test_an_encoder_that_fails_leaves_one() -> None:
    with pytest.raises(ZeroDivisionError):
        with_threads(Counting(fails=True), 4, "cpu").encode([])
    assert torch.get_num_threads() == 1
