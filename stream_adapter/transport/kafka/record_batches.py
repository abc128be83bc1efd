"""Whole record batches to and from kafka-python.

Its producer and consumer make several objects of each record, look up topic and partition for each, and write and read
it byte by byte, which costs more than all that a worker does with the record. Here a batch is written and read in one
go; its sender, its transactions, its retries and its fetches stay what they are.

The second file that looks inside, see `internals.py`; `tests/transport/kafka/test_record_batches.py` fails where an
upgrade moved something.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, IllegalStateError, KafkaError
from kafka.partitioner.default import murmur2
from kafka.producer.future import FutureRecordMetadata
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder

from stream_adapter.transport.base import Headers, Partition, Record

_NULL = b"\x01"  # the length -1


class Written(NamedTuple):
    """A record that is to be written; arguments as `KafkaProducer.send` has them."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


class Delivery:
    """What becomes of records that were handed over in one batch."""

    def __init__(self, whole: Any, number: int) -> None:
        self._whole = whole
        self._number = number
        self._apart: list[Any] = []

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, row: int) -> Any:
        """The future of one record: the client asks where it splits a batch that is too large for its topic."""
        if not self._apart:
            self._apart = [FutureRecordMetadata(self._whole, row, -1, None, -1, -1, -1) for row in range(self._number)]
        return self._apart[row]

    def wait(self, timeout_s: float) -> None:
        """Wait so long for an answer.

        Raises:
            KafkaError: there was none, or a record was refused.
        """
        self._whole.wait(timeout_s)
        for future in self._apart:
            future.get(timeout=timeout_s)

    def failures(self, late: KafkaError) -> dict[int, Exception]:
        """By place the records that were not written, and why; `late`: there was no answer."""
        if self._apart:
            return {
                row: future.exception if future.is_done else late
                for row, future in enumerate(self._apart)
                if not future.is_done or future.failed()
            }
        reason = self._whole.value[2] if self._whole.is_done else lambda _: late
        return {} if reason is None else {row: reason(row) for row in range(self._number)}


def partition_of(key: bytes, partitions: int) -> int:
    """The partition, of so many, that a record with this key goes to, as Java's client decides it."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def any_partition(producer: KafkaProducer, topic: str) -> int:
    """The partition for records without a key."""
    return int(producer._partition(topic, None, None, None, None, None))


def hand_over(producer: KafkaProducer, at: TopicPartition, records: Sequence[Written]) -> list[Delivery]:
    """Hand records to the producer, as `send` does with each; its topic's metadata must be there.

    Returns:
        What becomes of them, in their order.

    Raises:
        KafkaError: the producer takes none.
    """
    accumulator, transactions = producer._accumulator, producer._transaction_manager
    if transactions and transactions.is_transactional():
        transactions.maybe_add_partition_to_transaction(at)
    largest = accumulator.config["batch_size"]
    deliveries = []
    accumulator._appends_in_progress.increment()
    try:
        while records:
            filled = _Filled(accumulator.config["compression_attrs"], largest)
            number = filled.fill(records)
            builder = MemoryRecordsBuilder(2, accumulator.config["compression_attrs"], largest)
            builder._builder, builder._next_offset = filled, number
            batch = ProducerBatch(at, builder)
            batch._record_futures = delivery = Delivery(batch.produce_future, number)
            with accumulator._tp_lock(at):
                if accumulator._closed:
                    raise IllegalStateError("the producer is closed")
                accumulator._batches[at].append(batch)
                accumulator._incomplete.add(batch)
            deliveries.append(delivery)
            records = records[number:]
    finally:
        accumulator._appends_in_progress.decrement()
    producer._sender.wakeup()
    return deliveries


def read_whole_batches(consumer: KafkaConsumer) -> KafkaConsumer:
    """Let a consumer's `poll` give `Record`s, in place of the client's own."""
    consumer._fetcher.PartitionRecords = _PartitionRecords
    return consumer


class _Filled(DefaultRecordBatchBuilder):  # type: ignore[misc]
    """A record batch that takes its records at once."""

    def __init__(self, compression: int, largest: int) -> None:
        super().__init__(
            magic=2,
            compression_type=compression,
            is_transactional=False,  # it is told when it is sent
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=largest,
        )

    def fill(self, records: Sequence[Written]) -> int:
        """Take as many of the records as there is room for, one at least; returns how many."""
        first_ms = latest_ms = records[0].timestamp_ms
        parts, size, number = [], len(self._buffer), 0
        for record in records:
            part = encode_record(record, record.timestamp_ms - first_ms, number)
            size += len(part)
            if number and size > self._batch_size:
                break
            parts.append(part)
            number += 1
            latest_ms = max(latest_ms, record.timestamp_ms)
        self._buffer += b"".join(parts)
        self._first_timestamp, self._max_timestamp = first_ms, latest_ms
        self._num_records, self._last_offset = number, number - 1
        return number

    def append(self, *_: Any, **__: Any) -> None:
        """There is no room for more."""


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """What was fetched of a partition, as `Record`s."""

    def _unpack_records(self, tp: TopicPartition, records: Any, *_: Any) -> Iterator[Record]:
        partition = Partition(*tp)
        while (batch := records.next_batch()) is not None:
            if self.check_crcs and not batch.validate_crc():
                raise CorruptRecordError(f"the record batch of {partition} at {batch.base_offset} fails its checksum")
            if batch.magic < 2:  # written before Kafka 0.11
                for one in batch:
                    self.next_fetch_offset = one.offset + 1
                    yield Record(partition, one.offset, one.timestamp, one.key, one.value)
                continue
            self.leader_epoch = batch.leader_epoch
            if not self._is_passed_over(batch):
                iter(batch)  # uncompressed
                self.records_read += batch.records_count
                self.bytes_read += batch.size_in_bytes
                for record in decode_records(batch, partition):
                    self.next_fetch_offset = record.offset + 1
                    yield record
            self.next_fetch_offset = batch.next_offset  # compaction leaves gaps behind the last record
        self.drain()

    def _is_passed_over(self, batch: Any) -> bool:
        """Whether a batch only ends a transaction, or belongs to one that was aborted."""
        if self.isolation_level and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return bool(batch.is_control_batch)


def encode_record(record: Written, delta_ms: int, place: int) -> bytes:
    """A record as it stands in a batch: https://kafka.apache.org/documentation/#record."""
    key, value, headers, _ = record
    parts = [b"\0", _varint(delta_ms), _varint(place)]
    parts += (_NULL,) if key is None else (_varint(len(key)), key)
    parts += (_NULL,) if value is None else (_varint(len(value)), value)
    parts.append(_varint(len(headers)))
    for name, content in headers:
        parts += (_encoded_name(name), _varint(len(content)), content)
    body = b"".join(parts)
    return _varint(len(body)) + body


def decode_records(batch: Any, partition: Partition) -> Iterator[Record]:
    """The records of an uncompressed batch, one after the other.

    Raises:
        CorruptRecordError: the bytes are none.
    """
    data, pos = bytes(batch._buffer), batch._pos
    base, first_ms, appended = batch.base_offset, batch.first_timestamp, bool(batch.timestamp_type)
    try:
        for _ in range(batch.records_count):
            length, pos = _read_varint(data, pos)
            end = pos + length
            delta_ms, pos = _read_varint(data, pos + 1)  # behind the attributes
            place, pos = _read_varint(data, pos)
            key, pos = _read_bytes(data, pos)
            value, pos = _read_bytes(data, pos)
            number, pos = _read_varint(data, pos)
            headers = []
            for _ in range(number):
                name, pos = _read_bytes(data, pos)
                content, pos = _read_bytes(data, pos)
                headers.append((_decoded_name(name), content or b""))
            if pos != end or end > len(data) or number < 0:
                raise ValueError(f"a record of {length} bytes ends at {pos}, not at {end}")
            timestamp_ms = batch.max_timestamp if appended else first_ms + delta_ms
            yield Record(partition, base + place, timestamp_ms, key, value, tuple(headers))
        if pos != len(data):
            raise ValueError(f"{len(data) - pos} bytes follow the last record")
    except (ValueError, IndexError) as error:
        raise CorruptRecordError(f"a record of {partition} cannot be read: {error}") from error


def _read_varint(data: bytes, pos: int) -> tuple[int, int]:
    byte = data[pos]
    if byte < 0x80:  # most are
        return (byte >> 1) ^ -(byte & 1), pos + 1
    value, shift = byte & 0x7F, 7
    while byte & 0x80:
        pos += 1
        byte = data[pos]
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise ValueError("a number of more than 64 bits")
    return (value >> 1) ^ -(value & 1), pos + 1


def _read_bytes(data: bytes, pos: int) -> tuple[bytes | None, int]:
    length, pos = _read_varint(data, pos)
    return (None, pos) if length < 0 else (data[pos : pos + length], pos + length)


@lru_cache(maxsize=1 << 14)
def _varint(number: int) -> bytes:
    """Zigzag, seven bits a byte, the lowest first."""
    left = (number << 1) ^ (number >> 63)
    written = bytearray()
    while left > 0x7F:
        written.append(0x80 | left & 0x7F)
        left >>= 7
    written.append(left)
    return bytes(written)


@lru_cache(maxsize=1_024)
def _encoded_name(name: str) -> bytes:
    text = name.encode()
    return _varint(len(text)) + text


@lru_cache(maxsize=1_024)
def _decoded_name(name: bytes | None) -> str:
    if name is None:
        raise ValueError("a header without a name")
    return name.decode(errors="backslashreplace")  # a name that is no text is the sender's fault, and no end
