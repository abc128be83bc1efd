import pytest
from hypothesis import given

from stream_adapter.errors import MalformedEvent
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.recorded import from_line, to_line
from tests.transport.strategies import RECORDS


@given(RECORDS)
def test_a_record_survives_the_line(record: Record) -> None:
    line = to_line(record)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert from_line(line) == record


def test_empty_and_absent_are_different_things() -> None:
    for key, value in ((None, b""), (b"", None)):
        record = Record(Partition("images", 0), 0, 0, key, value)
        assert from_line(to_line(record)) == record


GOOD = '"topic":"t","partition":0,"offset":0,"timestamp_ms":0,"key":null,"value":null,"headers":[]'


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "must be a JSON object, found list"),
        ("{}", "`topic` must be str, found None"),
        ("{" + GOOD.replace('"partition":0', '"partition":true') + "}", "`partition` must be int, found True"),
        ("{" + GOOD.replace('"value":null', '"value":"@@"') + "}", "`value` is not base64"),
        ("{" + GOOD.replace('"value":null', '"value":7') + "}", "`value` is not base64"),
        ("{" + GOOD.replace("[]", '[["a"]]') + "}", "a header must be a pair"),
        ("{" + GOOD.replace("[]", '[["a","!"]]') + "}", "`headers.a` is not base64"),
    ],
)
def test_a_broken_line_is_explained(line: str, complaint: str) -> None:
    with pytest.raises(MalformedEvent, match=complaint):
        from_line(line.encode())
    assert from_line(("{" + GOOD + "}").encode())  # what is broken above is the only thing that is
