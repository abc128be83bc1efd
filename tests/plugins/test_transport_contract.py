"""What every transport that is plugged in must keep: order, bytes, all or nothing, restarts, the changelog.

With `TRANSPORT=worker.yaml` in the environment that of this configuration is tried, in a folder of its own.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from stream_adapter.config import parse
from stream_adapter.transport.base import Commit, OutRecord, Partition, Record, Sink, Source
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import Role, Transport, read_all

EXAMPLE = """
transport: sqlite
transports: {sqlite: {file: stream.db, follow: true}}
encoder: {model: ViT-B-32, pretrained: openai}
vocabulary: {classes: [cat, dog]}
"""
HEADERS = (("a", b"\xff\x00"), ("a", b""), ("ä", b"2"))
SENT = [(b"first", b"\x00\xff\n", HEADERS), (None, b"", ()), (b"", b"3" * 100_000, ())]

Make = Callable[[], Transport]


@pytest.fixture
def make(tmp_path: Path, importable: Path) -> Make:
    """Makes the transport anew, as a restart does; all of them on the same data."""
    asked = os.environ.get("TRANSPORT")
    config = parse(Path(asked).read_text() if asked else EXAMPLE, folder=tmp_path)
    return lambda: transport_of(config)


def send(transport: Transport) -> None:
    records = [Record(Partition("elsewhere", 3), 7, 1_000 + n, *one) for n, one in enumerate(SENT)]
    *_, last = transport.produce([*records, Record(Partition("elsewhere", 3), 8, 0, b"key", None)])
    assert (last.sent, last.refused.total(), last.finished) == (len(SENT), 1, True), "what has no value is refused"


def poll(source: Source, count: int) -> list[Record]:
    """So many records, within ten seconds."""
    found: list[Record] = []
    deadline = time.monotonic() + 10.0
    while len(found) < count and time.monotonic() < deadline:
        records = source.poll(count - len(found), 0.1)
        assert {record.partition for record in records} <= source.assigned
        found += records
    return found


@contextlib.contextmanager
def connected(transport: Transport) -> Iterator[tuple[Source, Sink]]:
    with contextlib.ExitStack() as stack:
        yield transport.connect(stack)


def contents(records: Sequence[Record]) -> list[tuple[bytes | None, bytes | None, object]]:
    return [(record.key, record.value, record.headers) for record in records]


def test_what_is_sent_is_polled_as_it_was_sent_and_in_order(make: Make) -> None:
    send(make())
    with connected(make()) as (source, _):
        found = poll(source, len(SENT))
        assert contents(found) == SENT
        assert [record.timestamp_ms for record in found] == [1_000, 1_001, 1_002]
        for partition in source.assigned:
            offsets = [record.offset for record in found if record.partition == partition]
            assert offsets == sorted(set(offsets))
        assert sum(source.lag().values()) == 0 and source.trouble is None
        started = time.monotonic()
        assert source.poll(10, 0.2) == []
        assert time.monotonic() - started < 5.0, "it returns in time"
    assert contents(list(read_all(make(), "images"))) == SENT


def test_nothing_comes_while_paused_or_without_room(make: Make) -> None:
    send(make())
    with connected(make()) as (source, _):
        poll(source, 0)
        source.pause()
        assert source.poll(10, 0.1) == []
        source.resume()
        assert source.poll(0, 0.1) == []
        assert contents(poll(source, 1)) == SENT[:1]


def test_a_restart_goes_on_after_what_was_committed_and_has_its_outputs(make: Make) -> None:
    send(make())
    with connected(make()) as (source, sink):
        first, _ = poll(source, 2)
        outputs = [OutRecord(role, b"key", b"\xff\n", HEADERS, 5) for role in ("predictions", "dead_letters", "drift")]
        sink.commit(Commit([*outputs, OutRecord("predictions", None, b"2")], {first.partition: first.offset + 1}))
        sink.commit(Commit([OutRecord("predictions", b"3", b"3")]))
    with connected(make()) as (source, _):
        assert contents(poll(source, 2)) == SENT[1:], "what was polled and not committed comes again"
    roles: list[Role] = ["predictions", "dead_letters", "drift"]
    for role in roles:
        (written, *more) = read_all(make(), role)
        assert contents([written]) == [(b"key", b"\xff\n", HEADERS)] and written.timestamp_ms == 5
        assert [record.value for record in more] == ([b"2", b"3"] if role == "predictions" else [])


def test_the_changelog_restores_follows_and_goes_on(make: Make) -> None:
    transport = make()
    own = OutRecord("anchors", b"one", b"1", (("writer", b"me"),))
    with connected(transport) as (_, sink):
        sink.commit(Commit([own, OutRecord("anchors", b"two", b"2", (("writer", b"other"),))]))
        with contextlib.closing(transport.open_changelog("me")) as changelog:
            changes = [change for portion in changelog.read_to_end() for change in portion]
            assert [(change.key, change.own) for change in changes] == [("one", True), ("two", False)]
            assert list(changelog.poll()) == []
            sink.commit(Commit([OutRecord("anchors", b"two", None)]))
            (gone,) = changelog.poll()
            assert gone.key == "two" and gone.content is None, "a deletion"
            positions, identity = changelog.positions, changelog.identity
    make().write([OutRecord("anchors", b"three", b"3")])
    with contextlib.closing(make().open_changelog("me")) as changelog:
        assert changelog.identity == identity
        assert changelog.go_on_from(positions)
        assert [change.key for portion in changelog.read_to_end() for change in portion] == ["three"]
    with contextlib.closing(make().open_changelog("me")) as changelog:
        assert not changelog.go_on_from({number: offset + 1_000 for number, offset in positions.items()})
        newest = {change.key: change.content for portion in changelog.read_to_end() for change in portion}
        assert newest.keys() >= {"one", "three"} and newest.get("two") is None, "from the beginning"


def test_a_log_ends_where_it_is_told(make: Make) -> None:
    send(make())
    with contextlib.closing(make().open_log("images")) as log:
        ends = log.ends()
        records = [record for portion in log.portions() for record in portion]
        assert all(record.offset < ends[record.partition.number] for record in records)
        last = records[-1]
        before = [record for portion in log.portions({last.partition.number: last.offset}) for record in portion]
        assert last not in before and len(before) < len(records)


def test_what_is_sent_back_comes_again(make: Make) -> None:
    send(make())
    with connected(make()) as (source, sink):
        records = poll(source, len(SENT))
        sink.commit(Commit([], {record.partition: record.offset + 1 for record in records}))
    with make().resend() as resend:
        resend(records[:1])
    with connected(make()) as (source, _):
        assert contents(poll(source, 1)) == SENT[:1]


def test_labels_are_read_where_it_brings_any(make: Make) -> None:
    feed = make().open_labels()
    if feed is None:
        pytest.skip("it brings no labels")
    make().write([OutRecord("labels", None, b"label"), OutRecord("labels", None, b"more")])
    with contextlib.closing(feed):
        feed.assign(frozenset(range(feed.partitions)))
        labels: list[Record] = []
        deadline = time.monotonic() + 10.0
        while len(labels) < 2 and time.monotonic() < deadline:
            labels += feed.poll().labels
        assert [record.value for record in labels] == [b"label", b"more"]
