"""Records as hypothesis draws them: any bytes, names with any text, duplicate headers."""

from hypothesis import strategies as st

from stream_adapter.transport.base import Partition, Record

PARTITIONS = st.builds(Partition, st.text(st.characters(codec="utf-8"), min_size=1), st.integers(0, 2**31 - 1))
HEADERS = st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.binary(max_size=40)), max_size=8).map(tuple)
RECORDS = st.builds(
    Record,
    partition=PARTITIONS,
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.integers(0, 2**53),
    key=st.none() | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=200),
    headers=HEADERS,
)
