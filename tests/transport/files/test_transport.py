import contextlib
from pathlib import Path

import pytest

from stream_adapter.config import FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Commit, OutRecord, Partition, Record
from stream_adapter.transport.files.transport import FileTransport
from stream_adapter.transport.recorded import from_line, to_line
from stream_adapter.transport.transport import Transport, read_all


@pytest.fixture
def transport(tmp_path: Path) -> Transport:
    lines = [to_line(Record(Partition("images", n), 7, n, b"%d" % n, b"picture")) for n in range(3)]
    (tmp_path / "input.jsonl").write_bytes(b"".join(lines))
    return FileTransport(FilesConfig(input=tmp_path / "input.jsonl", output=tmp_path / "results"))


def test_every_role_can_be_read(transport: Transport) -> None:
    with contextlib.ExitStack() as stack:
        _, sink = transport.connect(stack)
        sink.commit(Commit([OutRecord("predictions", b"k", b'{"a": 1}'), OutRecord("drift", None, b"{}")]))
    transport.write([OutRecord("anchors", b"a", None)])
    assert [record.key for record in read_all(transport, "images")] == [b"0", b"1", b"2"]
    assert [record.value for record in read_all(transport, "predictions")] == [b'{"a": 1}']
    assert [record.value for record in read_all(transport, "drift")] == [b"{}"]
    assert [(record.key, record.value) for record in read_all(transport, "anchors")] == [(b"a", None)]
    assert list(read_all(transport, "dead_letters")) == []


def test_before_the_first_run_there_are_no_results_to_read_and_nothing_was_learned(transport: Transport) -> None:
    for role in ("predictions", "drift"):
        with pytest.raises(TransportError, match=rf"{role}\.jsonl: there is no such file; did a worker run"):
            transport.open_log(role)  # type: ignore[arg-type]
    assert list(read_all(transport, "anchors")) == []


def test_what_is_sent_back_is_a_recording(transport: Transport, tmp_path: Path) -> None:
    records = list(read_all(transport, "images"))
    (tmp_path / "results").mkdir()
    (tmp_path / "results/replay.jsonl").write_text("an older one")
    with transport.resend() as send:
        send(records[:1])
        send(records[1:])
    lines = (tmp_path / "results/replay.jsonl").read_bytes().splitlines()
    assert [from_line(line) for line in lines] == records


def test_a_replay_that_cannot_be_written_is_named(transport: Transport) -> None:
    with pytest.raises(TransportError, match=r"cannot write .*results/replay\.jsonl: No such file"), transport.resend():
        pass


def test_nothing_can_be_sent(transport: Transport) -> None:
    with pytest.raises(TransportError, match=r"nothing can be sent; put them into .*input\.jsonl, or set `transport"):
        next(transport.produce([]))
