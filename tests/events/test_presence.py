import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.errors import MalformedEvent
from stream_adapter.events import PRESENCE_PREFIX, PresenceRecord

text = st.text(alphabet=st.characters(codec="utf-8"))


@given(key=text, value=st.binary(), fingerprint=text, vocabulary=text)
def test_a_record_comes_back_byte_for_byte(key: str, value: bytes, fingerprint: str, vocabulary: str) -> None:
    sent = PresenceRecord(key, value, fingerprint, vocabulary)
    record = sent.to_record("w")
    assert record.channel == "anchors" and record.source is None
    assert (record.key or b"").decode() == PRESENCE_PREFIX + key
    assert ("content-type", b"application/octet-stream") in record.headers
    assert PresenceRecord.from_record((record.key or b"").decode(), record.value or b"", record.headers) == sent


@pytest.mark.parametrize("missing", ["fingerprint", "vocabulary"])
def test_a_record_that_does_not_say_what_it_is_about_is_malformed(missing: str) -> None:
    record = PresenceRecord("evidence/a", b"1", "f", "v").to_record("w")
    headers = tuple(pair for pair in record.headers if pair[0] != missing)
    with pytest.raises(MalformedEvent, match=missing):
        PresenceRecord.from_record("presence/evidence/a", b"1", headers)
