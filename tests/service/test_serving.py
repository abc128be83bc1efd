"""A replica that only answers, without a broker."""

import time
from collections.abc import Iterator

import pytest
import torch

from stream_adapter.config import parse
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.metrics import Metrics
from stream_adapter.service import build, serving
from stream_adapter.service.health import Health
from stream_adapter.transport.memory import MemoryTransport
from tests.fakes import CLASSES, TEXT_VECTORS, FakeEncoder


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


def test_it_follows_and_answers_with_the_threads_that_its_encoder_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Counting()
    vocabulary = Vocabulary(CLASSES, TEXT_VECTORS, 10.0)
    monkeypatch.setattr(build, "load_models", lambda *_: (encoder, vocabulary))
    monkeypatch.setattr(serving, "transport_of", lambda _: MemoryTransport())
    config = parse("encoder: {pretrained: openai, threads: 3, device: cpu}\nvocabulary: {classes: [a, b]}")
    torch.set_num_threads(2)
    with serving.open_follower(config, Metrics(), Health(10.0, time.monotonic)) as follower:
        follower.restore()
        assert torch.get_num_threads() == 1, "all but the encoder has one"
        vectors = follower.encoder.encode([follower.encoder.prepare(b"cat 1", "")])
        assert encoder.threads == 3
        (said,) = follower.processor.answer(vectors)
        assert said["top"][0]["label"] == "cat"
