"""Record batches are what kafka-python itself would write and read, and its insides are where we look for them."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import Fetcher, IsolationLevel
from kafka.errors import CorruptRecordError, KafkaTimeoutError, MessageSizeTooLargeError
from kafka.record.default_records import DefaultRecordBase
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.kafka.internals import close_producer
from stream_adapter.transport.kafka.record_batches import (
    Delivery,
    Written,
    any_partition,
    decode_records,
    hand_over,
    partition_of,
    read_whole_batches,
)

AT = TopicPartition("topic", 0)
LATE = KafkaTimeoutError("late")
RECORDS = st.lists(
    st.builds(
        Written,
        st.none() | st.binary(max_size=80),
        st.none() | st.binary(max_size=300),
        st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=200)), max_size=4).map(tuple),
        st.integers(0, 2**41),
    ),
    min_size=1,
    max_size=20,
)


def plain(records: Any) -> list[tuple[Any, ...]]:
    return [(one.offset, one.timestamp, one.key, one.value, tuple(one.headers)) for one in records]


def ours(records: Any) -> list[tuple[Any, ...]]:
    return [(one.offset, one.timestamp_ms, one.key, one.value, one.headers) for one in records]


def expected(records: list[Written]) -> list[tuple[Any, ...]]:
    return [
        (place, one.timestamp_ms, one.key, one.value, tuple((name, value) for name, value in one.headers))
        for place, one in enumerate(records)
    ]


@pytest.fixture
def producer() -> Iterator[KafkaProducer]:
    """A producer that never reaches a broker, but knows the topic."""
    offline = make_producer()
    yield offline
    offline._accumulator._incomplete._incomplete.clear()  # what a test has answered
    close_producer(offline)


def make_producer(**options: Any) -> KafkaProducer:
    made = KafkaProducer(bootstrap_servers="127.0.0.1:9", api_version=(3, 5), **options)
    made._partition = lambda *_: 0
    return made


def waiting(producer: KafkaProducer) -> list[Any]:
    return list(producer._accumulator._batches[AT])


def sent(batch: Any) -> list[Any]:
    """The records of a batch, as the client reads them once it is closed."""
    batch.records.close()
    (closed,) = MemoryRecords(batch.records.buffer())
    assert closed.validate_crc()
    return list(closed)


@pytest.fixture(scope="module")
def one_producer() -> Iterator[KafkaProducer]:
    """For all examples of a property."""
    offline = make_producer()
    yield offline
    close_producer(offline)


@given(RECORDS)
def test_the_client_reads_what_we_write(one_producer: KafkaProducer, records: list[Written]) -> None:
    (delivery,) = hand_over(one_producer, AT, records)
    batch = one_producer._accumulator._batches[AT].pop()
    assert (len(delivery), batch.record_count) == (len(records), len(records))
    assert plain(sent(batch)) == expected(records)


def from_client(records: list[Written], **options: Any) -> Any:
    builder = MemoryRecordsBuilder(2, options.pop("compression", 0), 2**20, **options)
    for one in records:
        builder.append(one.timestamp_ms, one.key, one.value, list(one.headers))
    builder.close()
    return builder


@given(RECORDS, st.sampled_from([0, 1]))
def test_we_read_what_the_client_writes(records: list[Written], compression: int) -> None:
    (batch,) = MemoryRecords(from_client(records, compression=compression).buffer())
    read = decode_records(iter(batch), Partition(*AT))
    assert ours(read) == expected(records)


@given(RECORDS, st.data())
def test_damaged_bytes_are_refused_or_read_as_records(records: list[Written], data: st.DataObject) -> None:
    """Whatever is flipped or missing behind the header: nothing but `CorruptRecordError`, and never a wrong length."""
    whole = bytes(from_client(records).buffer())
    place = data.draw(st.integers(DefaultRecordBase.HEADER_STRUCT.size, len(whole) - 1))
    cut = data.draw(st.booleans())
    damaged = bytearray(whole[:place] if cut else whole)
    if not cut:
        damaged[place] ^= data.draw(st.integers(1, 255))
    else:
        damaged[8:12] = (len(damaged) - 12).to_bytes(4, "big")
    (batch,) = MemoryRecords(damaged)
    try:
        read = list(decode_records(iter(batch), Partition(*AT)))
    except CorruptRecordError:
        return
    assert not cut and len(read) == len(records)


def test_a_header_whose_name_is_no_text_ends_nothing() -> None:
    whole = bytes(from_client([Written(b"k", b"v", (("name", b"x"), ("next", b"y")), 0)]).buffer())
    (batch,) = MemoryRecords(whole.replace(b"name", b"n\xffme"))
    (record,) = decode_records(iter(batch), Partition(*AT))
    assert record.headers == (("n\\xffme", b"x"), ("next", b"y"))


def test_records_are_cut_into_batches_of_the_clients_size() -> None:
    small = make_producer(batch_size=1_000)
    records = [Written(b"k", bytes(300), (), 5) for _ in range(7)] + [Written(b"k", bytes(5_000), (), 6)]
    assert list(map(len, hand_over(small, AT, records))) == [3, 3, 1, 1]
    batches = waiting(small)
    assert [one.value for batch in batches for one in sent(batch)] == [one.value for one in records]
    assert [batch.records.records().next_batch().max_timestamp for batch in batches] == [5, 5, 5, 6]
    close_producer(small)


def test_what_the_client_sends_by_itself_goes_into_a_batch_of_its_own(producer: KafkaProducer) -> None:
    producer._wait_on_metadata = lambda *_: {0}
    hand_over(producer, AT, [Written(b"k", b"v", (), 1)])
    producer.send("topic", b"own", b"k")
    assert [batch.record_count for batch in waiting(producer)] == [1, 1]
    assert any_partition(producer, "topic") == 0


def test_compression_is_the_clients() -> None:
    zipped = make_producer(compression_type="gzip")
    hand_over(zipped, AT, [Written(b"k", bytes(1_000), (), 1)])
    (batch,) = waiting(zipped)
    assert [one.value for one in sent(batch)] == [bytes(1_000)]
    assert len(batch.records.buffer()) < 300
    close_producer(zipped)


def test_a_transaction_is_told_of_the_partition() -> None:
    transactional = make_producer(transactional_id="t")
    told: list[TopicPartition] = []
    transactional._transaction_manager.maybe_add_partition_to_transaction = told.append
    hand_over(transactional, AT, [Written(b"k", b"v", (), 1)])
    assert told == [AT]
    (batch,) = waiting(transactional)
    batch.records.set_producer_state(7, 3, 11, True)
    batch.records.close()
    (closed,) = batch.records.records()
    assert (closed.producer_id, closed.producer_epoch, closed.base_sequence) == (7, 3, 11)
    assert closed.is_transactional and batch.base_sequence == 11
    close_producer(transactional)


def handed(producer: KafkaProducer, number: int = 4) -> tuple[Delivery, Any]:
    (delivery,) = hand_over(producer, AT, [Written(b"k", bytes(10), (), 1)] * number)
    return delivery, producer._accumulator._batches[AT].pop()


def test_a_batch_is_answered_as_a_whole(producer: KafkaProducer) -> None:
    delivery, batch = handed(producer)
    assert delivery.failures(LATE) == dict.fromkeys(range(4), LATE)
    batch.complete(5, -1)
    delivery.wait(0.0)
    assert delivery.failures(LATE) == {}


def test_the_broker_may_refuse_single_records(producer: KafkaProducer) -> None:
    delivery, batch = handed(producer)
    refusal = ValueError("refused")
    batch.complete_exceptionally(refusal, lambda row: refusal if row == 2 else KafkaTimeoutError("with it"))
    assert delivery.failures(LATE)[2] is refusal and len(delivery.failures(LATE)) == 4


def test_a_batch_that_is_split_is_answered_record_by_record(producer: KafkaProducer) -> None:
    delivery, batch = handed(producer)
    batch.records.close()
    accumulator = producer._accumulator
    assert accumulator.split_and_reenqueue(batch) == 2
    first, second = waiting(producer)
    first.complete(0, -1)
    assert delivery.failures(LATE) == {2: LATE, 3: LATE}
    second.records.close()
    accumulator._batches[AT].clear()
    assert accumulator.split_and_reenqueue(second) == 2  # once more
    third, fourth = waiting(producer)
    third.complete(2, -1)
    error = MessageSizeTooLargeError()
    fourth.complete_exceptionally(error, lambda _: error)
    assert delivery.failures(LATE) == {3: error}
    with pytest.raises(MessageSizeTooLargeError):
        delivery.wait(1.0)


def test_a_closed_producer_takes_nothing() -> None:
    closed = make_producer()
    close_producer(closed)
    with pytest.raises(Exception, match="closed"):
        hand_over(closed, AT, [Written(b"k", b"v", (), 1)])


@pytest.mark.parametrize("key", [b"", b"a", b"event-12", b"0123456789abcdef0123456789abcdef"])
def test_keys_go_where_the_client_would_send_them(key: bytes) -> None:
    class Cluster:
        def topics(self) -> set[str]:
            return {"topic"}

        def partitions_for_topic(self, _: str) -> set[int]:
            return set(range(7))

        available_partitions_for_topic = partitions_for_topic

    plain_producer = KafkaProducer(bootstrap_servers="127.0.0.1:9", api_version=(3, 5))
    partitioner = plain_producer.config["partitioner"]
    assert partition_of(key, 7) == partitioner.partition("topic", key, key, None, None, Cluster())
    close_producer(plain_producer)


def test_a_consumer_gives_our_records() -> None:
    """Committed ones alone: not those of an aborted transaction, and no marker of its end; gaps are passed."""
    consumer = read_whole_batches(KafkaConsumer(bootstrap_servers="127.0.0.1:9", api_version=(3, 5)))
    records = [Written(b"k", b"aborted", (), 1)]
    aborted = from_client(records, transactional=True, producer_id=7, producer_epoch=0, base_sequence=0).buffer()
    marker = from_client([Written(b"\0\0\0\0", b"", (), 1)]).buffer()
    marker[21:23] = (0x30).to_bytes(2, "big")  # transactional, control
    marker[43:51] = (7).to_bytes(8, "big")
    good = from_client([Written(b"k", b"one", (("Ä", b"1"),), 9), Written(None, b"two", (), 8)]).buffer()
    for place, part in enumerate((aborted, marker, good, good)):
        part[:8] = (place * 10).to_bytes(8, "big")
    again = bytearray(good)
    good[:8] = (20).to_bytes(8, "big")

    class Aborted:
        producer_id, first_offset = 7, 0

    held = consumer._fetcher.PartitionRecords(
        0,
        AT,
        MemoryRecords(bytes(aborted + marker + good + again)),
        check_crcs=False,
        isolation_level=IsolationLevel.READ_COMMITTED,
        aborted_transactions=[Aborted()],
    )
    at = Partition(*AT)
    assert held.take(1) == [Record(at, 20, 9, b"k", b"one", (("Ä", b"1"),))]
    assert held.next_fetch_offset == 21
    assert [one.offset for one in held.take(9)] == [21, 30, 31]
    assert held.next_fetch_offset == 32 and not held
    consumer.close(autocommit=False, timeout_ms=0)


def test_a_checksum_that_does_not_fit_is_told() -> None:
    consumer = read_whole_batches(KafkaConsumer(bootstrap_servers="127.0.0.1:9", api_version=(3, 5)))
    assert issubclass(consumer._fetcher.PartitionRecords, Fetcher.PartitionRecords)
    damaged = bytearray(from_client([Written(b"k", b"one", (), 9)]).buffer())
    damaged[-2] ^= 1
    held = consumer._fetcher.PartitionRecords(0, AT, MemoryRecords(bytes(damaged)))
    with pytest.raises(CorruptRecordError, match="checksum"):
        held.take(1)
    consumer.close(autocommit=False, timeout_ms=0)


def test_old_record_batches_are_read() -> None:
    builder = MemoryRecordsBuilder(1, 0, 2**20)
    builder.append(5, b"k", b"v")
    builder.close()
    consumer = read_whole_batches(KafkaConsumer(bootstrap_servers="127.0.0.1:9", api_version=(3, 5)))
    held = consumer._fetcher.PartitionRecords(0, AT, MemoryRecords(bytes(builder.buffer())))
    assert held.take(5) == [Record(Partition(*AT), 0, 5, b"k", b"v")]
    consumer.close(autocommit=False, timeout_ms=0)
