"""Labels of events whose vector is gone: learned from where the picture is stored, else a dead letter that says why."""

import http.server
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from stream_adapter.config import ReferencesConfig
from stream_adapter.encode.base import Prepared, Vectors
from stream_adapter.events.waiting import WaitingEvent
from stream_adapter.metrics import Metrics
from stream_adapter.references import References
from tests.fakes import FakeEncoder, headers, picture, vectors_of
from tests.journey.late_journey import Journey, said


class Bucket(http.server.BaseHTTPRequestHandler):
    """Has the pictures of cats, of which the fakes' encoder needs no more than the name."""

    def do_GET(self) -> None:
        name = self.path.strip("/").replace("-", " ")
        self.send_response(200 if name.startswith("cat") else 404)
        self.end_headers()
        self.wfile.write(name.encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def references(url: str) -> Iterator[References]:
    config = ReferencesConfig(allow=[f"{url}/"], networks=["127.0.0.1/32"], total_s=1.0)
    references = References(config, max_bytes=1_000, metrics=Metrics())
    yield references
    references.close()


def pass_time(journey: Journey, seconds: float) -> None:
    """Let it pass, and what was begun meanwhile come to its end."""
    journey.now_ms += int(seconds * 1e3)
    for _ in range(50):
        journey.settle()
        time.sleep(0.01)


def test_an_event_that_is_gone_is_learned_from_where_its_picture_is(url: str, references: References) -> None:
    journey = Journey(references=references, wait_max_age=600.0)
    journey.send(picture("cat", 1))
    pass_time(journey, 601.0)
    at = f"{url}/cat-1"
    journey.say(said(1, "cat", annotator="ann", reference=at))
    assert not journey.anchors, "it may be on its way"
    pass_time(journey, 61.0)
    assert journey.anchors == {"1": ("cat", 50_000, "ann")}
    (anchor,) = journey.processor.adapter.anchors
    assert anchor.origin.reference == at
    np.testing.assert_allclose(anchor.vector, vectors_of(("cat", 1))[0], atol=1e-3)
    label = journey.label_of(1)
    assert label is not None and label.state == "learned"
    assert not journey.letters()
    assert journey.metrics.registry.get_sample_value("stream_adapter_label_delay_seconds_count") == 0, "no test"
    journey.say(said(1, "dog", time_ms=60_000))
    assert journey.anchors["1"][0] == "dog"


def send(journey: Journey, number: int, reference: str) -> None:
    """An event that refers to its picture."""
    journey.send({"value": b"", "headers": headers(str(number), reference=reference), "key": b"%d" % number})


@pytest.mark.parametrize("taken_over", [False, True])
def test_a_label_needs_the_ids_alone_where_the_event_said_where_its_picture_is(
    url: str, references: References, taken_over: bool
) -> None:
    journey = Journey(references=references, wait_max_age=600.0)
    send(journey, 1, f"{url}/cat-1")
    pass_time(journey, 601.0)
    last = journey.transport.sink.records["waiting"][-1]
    assert last.value is not None and not WaitingEvent.from_value(last.value).vector.size
    if taken_over:
        journey = Journey(journey.transport, references=references, wait_max_age=600.0)
        journey.now_ms += 700_000
    journey.say(said(1, "cat"))
    pass_time(journey, 1.0)
    assert journey.anchors == {"1": ("cat", 50_000, "")}
    (anchor,) = journey.processor.adapter.anchors
    assert anchor.origin.reference == f"{url}/cat-1"
    np.testing.assert_allclose(anchor.vector, vectors_of(("cat", 1))[0], atol=1e-3)
    count = journey.metrics.registry.get_sample_value("stream_adapter_label_delay_seconds_count")
    assert count == 1, "scored by what was predicted"
    journey.say(said(1, None, 60_000, forget=True))
    assert journey.transport.sink.records["waiting"][-1].value is None or not journey.anchors
    journey.say(said(1, "dog", 70_000))
    assert not journey.anchors, "nothing of it is left"


def test_what_is_kept_of_events_that_are_gone_is_bounded(url: str, references: References) -> None:
    journey = Journey(references=references, wait_max_age=600.0, reference_max_events=2)
    for number in range(4):
        send(journey, number, f"{url}/cat-{number}")
    pass_time(journey, 601.0)
    journey.say(*(said(number, "cat") for number in range(4)))
    pass_time(journey, 1.0)
    assert journey.anchors.keys() == {"2", "3"}


def test_an_event_that_comes_in_time_is_scored_as_any_other(url: str, references: References) -> None:
    journey = Journey(references=references)
    journey.say(said(1, "cat", reference=f"{url}/cat-1"))
    pass_time(journey, 59.0)
    journey.send(picture("cat", 1))
    assert journey.metrics.registry.get_sample_value("stream_adapter_label_delay_seconds_count") == 1
    assert journey.anchors == {"1": ("cat", 50_000, "")}
    pass_time(journey, 61.0)
    assert len(journey.anchors) == 1


def test_a_picture_that_the_encoder_fails_at_is_a_dead_letter_and_others_are_learned(
    url: str, references: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, encode = vectors_of(("cat", 2))[0], FakeEncoder.encode

    def failing(self: FakeEncoder, prepared: Sequence[Prepared]) -> Vectors:
        if any(np.allclose(one, bad) for one in prepared):
            raise RuntimeError("of the test")
        return encode(self, prepared)

    monkeypatch.setattr(FakeEncoder, "encode", failing)
    journey = Journey(references=references)
    journey.say(*(said(number, "cat", reference=f"{url}/cat-{number}") for number in (1, 2, 3)))
    pass_time(journey, 61.0)
    assert journey.anchors.keys() == {"1", "3"}
    journey.say(said(2, "cat", 60_000, reference=f"{url}/cat-2"))
    pass_time(journey, 61.0)
    first, alone = journey.letters()
    for letter in (first, alone):
        assert dict(letter.headers)["__connect.errors.stage"] == b"encode"


@pytest.mark.parametrize(
    ("reference", "stage", "why"),
    [
        ("{url}/dog-1", "fetch", "404"),
        ("http://elsewhere.example/cat-1", "fetch", "references.allow"),
        (None, "label", "the label with a `reference` to it"),
    ],
)
def test_what_cannot_be_fetched_is_a_dead_letter(
    url: str, references: References, reference: str | None, stage: str, why: str
) -> None:
    journey = Journey(references=references, early_max_age=120.0)
    journey.say(said(1, "cat", reference=reference and reference.format(url=url)))
    pass_time(journey, 121.0)
    (letter,) = journey.letters()
    headers = {name: value.decode() for name, value in letter.headers}
    assert headers["__connect.errors.stage"] == stage
    assert why in headers["__connect.errors.exception.message"]
    assert not journey.anchors and journey.label_of(1) is None


def test_it_is_withdrawn_before_it_is_fetched(url: str, references: References) -> None:
    journey = Journey(references=references)
    journey.say(said(1, "cat", reference=f"{url}/cat-1"))
    journey.now_ms += 61_000
    journey.settle()
    journey.say(said(1, None, time_ms=60_000))
    pass_time(journey, 1.0)
    assert not journey.anchors and not journey.letters()
