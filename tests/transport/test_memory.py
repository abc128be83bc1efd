import contextlib

import pytest

from stream_adapter.errors import TransportError
from stream_adapter.events import anchor_tombstone
from stream_adapter.transport.base import Commit, OutRecord, Partition, Record, Sink, Source
from stream_adapter.transport.changelog import Change, Changelog
from stream_adapter.transport.memory import IMAGES, MemoryChangelog, MemorySink, MemorySource, MemoryTransport
from stream_adapter.transport.transport import Transport, read_all


def test_the_twins_keep_the_protocols() -> None:
    source: Source = MemorySource()
    sink: Sink = MemorySink()
    changelog: Changelog = MemoryChangelog()
    assert source and sink and changelog


def test_records_come_once_and_in_order() -> None:
    source = MemorySource()
    records = [source.add(bytes([n])) for n in range(5)]
    assert source.poll(2, 0.0) == records[:2]
    assert source.lag() == {IMAGES: 3}
    assert source.poll(10, 0.0) == records[2:]
    assert source.exhausted and source.poll(10, 0.0) == []


def test_nothing_comes_while_paused_or_without_room() -> None:
    source = MemorySource()
    source.add(b"1")
    source.pause()
    assert source.poll(1, 0.0) == []
    source.resume()
    assert source.poll(0, 0.0) == []
    assert len(source.poll(1, 0.0)) == 1


def test_a_revoked_partition_is_silent_until_it_comes_back() -> None:
    other = Partition("images", 1)
    source = MemorySource([IMAGES, other], endless=True)
    source.add(b"a")
    kept = source.add(b"b", partition=other)
    source.revoke(IMAGES)
    assert source.assigned == {other} and source.poll(9, 0.0) == [kept]
    source.assign(IMAGES, position=0)
    assert [record.value for record in source.poll(9, 0.0)] == [b"a"]
    assert not source.exhausted


def test_the_sink_keeps_commits_and_fails_once() -> None:
    sink = MemorySink()
    commit = Commit([OutRecord("predictions", None, b"{}")], {IMAGES: 3})
    sink.error = TransportError("disk full")
    with pytest.raises(TransportError, match="disk full"):
        sink.commit(commit)
    assert not sink.commits and not sink.records and not sink.positions
    sink.commit(commit)
    assert sink.records["predictions"] == list(commit.outputs) and sink.positions == {IMAGES: 3}


def test_the_changelog_restores_first_and_follows_then() -> None:
    sink = MemorySink()
    changelog = MemoryChangelog([Change("a", None)], sink, writer="w")
    assert list(changelog.read_to_end()) == [[Change("a", None)]]
    assert changelog.poll() == []
    changelog.write(Change("b", None))
    sink.commit(Commit([anchor_tombstone("c", "w")]))
    assert changelog.poll() == [Change("b", None), Change("c", None, own=True, offset=2, writer="w")]
    assert changelog.poll() == [] and changelog.positions == {0: 3}
    assert changelog.go_on_from({0: 2}) and [change.key for change in changelog.poll()] == ["c"]
    assert not changelog.go_on_from({0: 9})


def test_one_transport_has_them_all() -> None:
    memory = MemoryTransport()
    transport: Transport = memory
    sent = Record(Partition("elsewhere", 3), 9, 5, b"k", b"v", (("h", b"1"),))
    (progress,) = transport.produce([sent, Record(IMAGES, 0, 0, None, None)])
    assert (progress.sent, progress.refused, progress.finished) == (1, {"no value": 1}, True)
    with contextlib.ExitStack() as stack:
        source, sink = transport.connect(stack)
        (read,) = source.poll(9, 0.0)
        assert (read.key, read.value, read.headers, read.timestamp_ms) == (b"k", b"v", sent.headers, 5)
        sink.commit(Commit([anchor_tombstone("a", "w")], {IMAGES: 1}))
    assert memory.source.closed and memory.sink.closed
    transport.write([anchor_tombstone("b", "command")])
    (changes,) = transport.open_changelog("w").read_to_end()
    assert [(change.key, change.own) for change in changes] == [("a", True), ("b", False)]
    assert [record.key for record in read_all(transport, "anchors")] == [b"a", b"b"]
    with transport.resend() as send:
        send([read])
    assert [record.value for record in read_all(transport, "images")] == [b"v", b"v"]
    assert list(read_all(transport, "drift")) == []
