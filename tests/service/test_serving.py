"""A replica that only answers, without a broker."""

import time
from collections.abc import Iterator

import pytest
import torch

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.config import parse
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.metrics import Metrics
from stream_adapter.service import build, serving
from stream_adapter.service.health import Health
from stream_adapter.transport.memory import MemoryTransport
from tests.fakes import CLASSES, TEXT_VECTORS, FakeClock, FakeEncoder


class Counting(FakeEncoder):
    threads = 0

    def encode(self, prepared):  # type: ignore[no-untyped-def]
        self.threads = torch.get_num_threads()
        return super().encode(prepared)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """That of every follower, whose topics are empty."""
    encoder = Counting()
    monkeypatch.setattr(build, "load_models", lambda *_: (encoder, Vocabulary(CLASSES, TEXT_VECTORS, 10.0)))
    monkeypatch.setattr(serving, "transport_of", lambda _: MemoryTransport())
    return encoder


CONFIG = parse("encoder: {pretrained: openai, threads: 3, device: cpu}\nvocabulary: {classes: [a, b]}")


def test_it_follows_and_answers_with_the_threads_that_its_encoder_is_given(encoder: Counting) -> None:
    torch.set_num_threads(2)
    with serving.open_follower(CONFIG, Metrics(), Health(10.0, time.monotonic)) as follower:
        follower.restore()
        assert torch.get_num_threads() == 1, "all but the encoder has one"
        vectors = follower.encoder.encode([follower.encoder.prepare(b"cat 1", "")])
        assert encoder.threads == 3
        (said,) = follower.processor.questions.answer(vectors)
        assert said["top"][0]["label"] == "cat"


def test_it_is_not_taken_for_stuck_while_what_it_read_comes_into_force(
    encoder: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, alive = FakeClock(), []
    health = Health(10.0, clock)

    def pending(_: Adapter) -> int:
        alive.append(health.alive)
        clock.now_s += 4.0
        return int(clock.now_s < 60.0)

    monkeypatch.setattr(Adapter, "pending", property(pending))
    with serving.open_follower(CONFIG, Metrics(), health) as follower:
        follower.restore()
    assert len(alive) > 10 and all(alive)
