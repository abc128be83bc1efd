"""Fetching as it should be: files, HTTP, again after trouble, and in the order of the events."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.errors import EventError, MalformedEvent, UnfetchableReference
from stream_adapter.events import image_event_headers
from stream_adapter.events.reference import SCHEMES, Reference, allowed
from stream_adapter.journey.reading import Reader, is_tombstone
from stream_adapter.metrics import Metrics
from stream_adapter.references import References
from stream_adapter.references.rules import Rules
from stream_adapter.transport.base import Partition, Record
from tests.fakes import CLASSES, FakeEncoder, vectors_of
from tests.references.servers import PICTURE, PictureServer, picture_server, references

LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture
def server() -> Iterator[PictureServer]:
    with picture_server() as running:
        yield running


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://Img.Example.com./a b", None),
        ("https://Img.Example.com./a", Reference("https", "img.example.com", 443, "/a")),
        ("HTTP://example.com:8080", Reference("http", "example.com", 8080, "/")),
        ("http://example.com/ü?x=ü#part", Reference("http", "example.com", 80, "/%C3%BC?x=%C3%BC")),
        ("http://bücher.example/a%20b", Reference("http", "xn--bcher-kva.example", 80, "/a%20b")),
        ("s3://pictures/a b/ü%20#?", Reference("s3", "pictures", 0, "/a b/ü%20#?")),
        ("az://pictures/a", Reference("az", "pictures", 0, "/a")),
        ("file:///mnt/a%20b.jpg", Reference("file", "", 0, "/mnt/a b.jpg")),
        ("file://localhost/mnt/a", Reference("file", "", 0, "/mnt/a")),
    ],
)
def test_a_reference_is_taken_apart(text: str, expected: Reference | None) -> None:
    if expected is None:
        with pytest.raises(MalformedEvent):
            Reference.parse(text)
    else:
        assert Reference.parse(text) == expected


@given(st.sampled_from(SCHEMES), st.text(max_size=60))
def test_whatever_comes_is_a_reference_that_reads_back_or_malformed(scheme: str, rest: str) -> None:
    try:
        reference = Reference.parse(f"{scheme}://{rest}")
    except MalformedEvent:
        return
    assert reference.scheme == scheme and reference.path.startswith("/")
    if scheme != "file":  # whose path is decoded
        assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("entry", "reference", "covered"),
    [
        ("https://example.com", "https://example.com/a", True),
        ("https://example.com/shop", "https://example.com/shop", True),
        ("https://example.com/shop", "https://example.com/shop/a", True),
        ("https://example.com/shop", "https://example.com/shopping", False),
        ("https://example.com/shop", "https://example.com/shop?a", False),
        ("https://example.com", "http://example.com/a", False),
        ("https://example.com", "https://example.com:8443/a", False),
        ("https://example.com", "https://example.com.evil.test/a", False),
        ("https://*.example.com", "https://img.example.com/a", True),
        ("https://*.example.com", "https://example.com/a", False),
        ("https://*.example.com", "https://evilexample.com/a", False),
        ("https://*", "https://anything.test/a", True),
        ("http://*:8080", "http://anything.test:8080/a", True),
        ("s3://pictures/public/", "s3://pictures/public/a", True),
        ("s3://pictures/public/", "s3://pictures/private/a", False),
        ("s3://pictures", "s3://Pictures/a", False),
        ("file:///mnt", "file:///mnt/a", True),
        ("file:///mnt", "file:///mnt2/a", False),
    ],
)
def test_what_an_entry_of_the_list_stands_for(entry: str, reference: str, covered: bool) -> None:
    rules = Rules([allowed(entry)], [])
    if covered:
        rules.check(Reference.parse(reference))
    else:
        with pytest.raises(UnfetchableReference, match="not on the list"):
            rules.check(Reference.parse(reference))


@pytest.mark.parametrize("entry", ["s3://*/", "https://", "*", "example.com", "https://*example.com", "ftp://a/"])
def test_what_is_no_entry(entry: str) -> None:
    with pytest.raises(MalformedEvent):
        allowed(entry)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_reached(address: str) -> None:
    Rules([], []).check_address(address)


def counted(fetching: References, outcome: str) -> float | None:
    name = "stream_adapter_references_total"
    return fetching._metrics.registry.get_sample_value(name, {"scheme": "http", "outcome": outcome})


def test_a_temporary_outage_is_waited_for(server: PictureServer) -> None:
    with references(server.url, networks=LOOPBACK, total_s=20.0) as fetching:
        assert fetching.fetch(Reference.parse(f"{server.url}/flaky")) == PICTURE
        assert (counted(fetching, "retried"), counted(fetching, "fetched")) == (2.0, 1.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 206])
def test_what_will_not_get_better_is_not_tried_again(server: PictureServer, status: int) -> None:
    with references(server.url, networks=LOOPBACK) as fetching:
        with pytest.raises(UnfetchableReference, match=f"answers {status}"):
            fetching.fetch(Reference.parse(f"{server.url}/status?{status}"))
        assert server.asked["/status"] == 1
        assert counted(fetching, "failed") == 1.0


def test_nobody_there_is_tried_again_until_the_time_is_over() -> None:
    with picture_server() as gone:
        url = gone.url
    with references(url, networks=LOOPBACK, total_s=1.0) as fetching:
        started = time.monotonic()
        with pytest.raises(UnfetchableReference, match=r"tried for 1\.0 s"):
            fetching.fetch(Reference.parse(f"{url}/cat"))
        assert time.monotonic() - started < 2.0
        assert (counted(fetching, "retried") or 0) >= 2.0


def test_a_redirect_within_the_list_is_followed_three_times(server: PictureServer) -> None:
    def through(times: int) -> str:
        return f"{server.url}/redirect?" * times + f"{server.url}/cat"

    with references(server.url, networks=LOOPBACK) as fetching:
        assert fetching.fetch(Reference.parse(f"{server.url}/redirect?/cat")) == PICTURE
        assert fetching.fetch(Reference.parse(through(3))) == PICTURE
        with pytest.raises(UnfetchableReference, match="more than 3 redirects"):
            fetching.fetch(Reference.parse(through(4)))


def test_connections_are_kept(server: PictureServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpcore2

    opened = []
    connect = httpcore2.SyncBackend.connect_tcp
    monkeypatch.setattr(
        httpcore2.SyncBackend, "connect_tcp", lambda self, *given: opened.append(given) or connect(self, *given)
    )
    with references(server.url, networks=LOOPBACK) as fetching:
        for _ in range(5):
            fetching.fetch(Reference.parse(f"{server.url}/cat"))
    assert len(opened) == 1


def test_files_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a b.jpg").write_bytes(PICTURE)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "sub" / "a b.jpg")
    with references(f"file://{tmp_path}") as fetching:
        assert fetching.fetch(Reference.parse(f"file://{tmp_path}/sub/a%20b.jpg")) == PICTURE
        assert fetching.fetch(Reference.parse(f"file://{tmp_path}/link.jpg")) == PICTURE
        with pytest.raises(UnfetchableReference, match="No such file"):
            fetching.fetch(Reference.parse(f"file://{tmp_path}/missing.jpg"))


def record(number: int, reference: str, value: bytes | None = b"") -> Record:
    headers = image_event_headers(source="/test", id=str(number), content_type="image/jpeg", reference=reference)
    return Record(Partition("images", 0), number, 0, None, value, headers)


def reader(fetching: References | None) -> Reader:
    return Reader(
        FakeEncoder(),
        CLASSES,
        reject_unknown_labels=True,
        decoders=InlineExecutor(),
        metrics=Metrics(),
        references=fetching,
    )


@pytest.mark.parametrize("value", [b"", None])
def test_a_batch_is_fetched_at_once_and_stays_in_order(server: PictureServer, value: bytes | None) -> None:
    records = [record(number, f"{server.url}/number?{number}", value) for number in range(40)]
    records.insert(7, record(99, f"{server.url}/missing", value))
    with references(server.url, networks=LOOPBACK, total_s=20.0) as fetching:
        reading = reader(fetching)
        events, pictures, refused = reading.decoded(reading.read(records))
    assert [event.id for event in events] == [str(number) for number in range(40)]
    assert [row.tolist() for row in pictures] == vectors_of(*[("cat", number) for number in range(40)]).tolist()
    assert [(one.offset, error.stage) for one, error in refused] == [(99, "fetch")]


def test_where_nothing_is_fetched_a_reference_is_a_dead_letter() -> None:
    reading = reader(None)
    _, _, refused = reading.decoded(reading.read([record(1, "https://example.com/a.jpg")]))
    assert [error.stage for _, error in refused] == ["fetch"]


def test_a_picture_that_travels_is_not_fetched(server: PictureServer) -> None:
    reading = reader(None)
    events, _, _ = reading.decoded(reading.read([record(1, f"{server.url}/missing", PICTURE)]))
    assert [event.data for event in events] == [PICTURE]


def test_an_event_without_a_value_that_refers_to_one_is_no_tombstone() -> None:
    assert not is_tombstone(record(1, "https://example.com/a.jpg", None))


def test_an_error_nobody_foresaw_is_one_dead_letter(monkeypatch: pytest.MonkeyPatch, server: PictureServer) -> None:
    def broken(self: References, reference: Reference, since: float) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(References, "fetch", broken)
    with references(server.url, networks=LOOPBACK) as fetching:
        reading = reader(fetching)
        _, _, refused = reading.decoded(reading.read([record(1, f"{server.url}/cat")]))
    (error,) = [error for _, error in refused]
    assert isinstance(error, EventError) and "ZeroDivisionError" in str(error)
