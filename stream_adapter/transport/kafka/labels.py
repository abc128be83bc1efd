"""`KafkaLabelFeed`: the labels topic as a whole, and the partitions of the waiting topic that belong to this worker."""

from collections.abc import Iterable

from kafka import TopicPartition

from stream_adapter.config import KafkaConfig
from stream_adapter.transport.base import Record
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.reading import TopicReader
from stream_adapter.transport.kafka.topics import require_topics
from stream_adapter.transport.labels import LABELS_AT_ONCE, Arrivals, merged_positions, position_in

_PORTION = 1_000
_ASK_MS = 15_000


class KafkaLabelFeed:
    """Reads outside of any group: what of the waiting topic is this worker's follows from its images partitions.

    Raises:
        TransportError: no broker answers, or a topic does not exist.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._connection = Connection(config)
        self._topic = config.topics.waiting
        self.partitions = require_topics(self._connection, [self._topic])[self._topic]
        self._labels = TopicReader(self._connection, config.topics.labels)
        self._consumer = self._connection.consumer(group_id=None, auto_offset_reset="earliest")
        # Behind the open transaction of a worker that died there may be what another one committed: the end is that of
        # all records, and what is there is known when that transaction has ended, too.
        self._asking = self._connection.consumer(group_id=None, isolation_level="read_uncommitted")
        self._assigned: frozenset[int] = frozenset()
        self._fresh: frozenset[int] = frozenset()
        self._ends: dict[int, int] = {}  # where what was there ends, of partitions that are being restored
        # How far labels were applied, of partitions for which labels are not read yet: until all are restored.
        self._applied: dict[int, dict[int, int]] = {}
        self._read: dict[int, int] | None = None  # how far labels were read; None: for nobody yet
        self._polled: list[Record] = []
        self._unread: list[Record] = []
        self._restored: frozenset[int] = frozenset()
        self.exhausted = False

    def assign(self, numbers: frozenset[int]) -> None:
        """See `LabelFeed.assign`."""
        if numbers == self._assigned:
            return
        new = numbers - self._assigned
        with self._connection.errors_of(f"cannot read topic {self._topic!r}"):
            begins = self._consumer.beginning_offsets(self._at(new), timeout_ms=_ASK_MS) if new else {}
            ends = self._asking.end_offsets(self._at(new), timeout_ms=_ASK_MS) if new else {}
            places = {at: self._position(at) for at in self._at(numbers & self._assigned)} | begins
            self._consumer.assign(list(places))
            for at, offset in places.items():
                self._consumer.seek(at, offset)
        if not numbers & self._assigned:
            self._read = None
        self._assigned = numbers
        self._fresh, self._restored = (self._fresh & numbers) | new, self._restored - new
        self._ends = {n: end for n, end in self._ends.items() if n in numbers}
        self._ends |= {at.partition: end for at, end in ends.items()}
        self._applied = {n: applied for n, applied in self._applied.items() if n in numbers} | {n: {} for n in new}

    def poll(self) -> Arrivals:
        """See `LabelFeed.poll`."""
        if not self._assigned:
            return Arrivals()
        what = f"cannot read topic {self._topic!r}"
        polled = self._connection.retried(what, lambda _: self._consumer.poll(timeout_ms=0, max_records=_PORTION))
        # Kept until it is handed over: what follows may find no answer, and is then done again.
        self._polled += [record for batch in polled.values() for record in batch]
        if self._ends:
            self._restored |= self._ended()
        labels: list[Record] = []
        if not self._ends:
            if self._applied:
                self._begin_labels()
            # Few at a time: a batch that comes meanwhile waits behind them.
            unread = self._unread or self._labels.new()
            labels, self._unread = unread[:LABELS_AT_ONCE], unread[LABELS_AT_ONCE:]
        for record in labels:
            assert self._read is not None
            self._read[record.partition.number] = record.offset + 1
        arrivals = Arrivals(self._fresh, self._polled, self._restored, labels)
        self._fresh, self._polled, self._restored = frozenset(), [], frozenset()
        return arrivals

    def close(self) -> None:
        """Release the consumers."""
        self._labels.close()
        with self._connection.errors_of(f"cannot close the reader of topic {self._topic!r}"):
            self._consumer.close(timeout_ms=1_000)
            self._asking.close(timeout_ms=1_000)

    def _ended(self) -> frozenset[int]:
        """The partitions whose end is reached."""
        for record in self._polled:
            number = record.partition.number
            if number in self._applied:
                self._applied[number] = position_in(record) or self._applied[number]
        with self._connection.errors_of(f"cannot tell the position in topic {self._topic!r}"):
            places = {at.partition: self._position(at) for at in self._at(self._ends)}
        done = frozenset(number for number, end in self._ends.items() if places[number] >= end)
        self._ends = {number: end for number, end in self._ends.items() if number not in done}
        return done

    def _begin_labels(self) -> None:
        """Read labels from where any of the partitions that are new needs them."""
        positions = merged_positions([*self._applied.values(), *([] if self._read is None else [self._read])])
        if not self._labels.seek(positions):  # of labels that are gone since, none can be applied
            self._labels.seek({})
        self._read, self._applied, self._unread = positions, {}, []

    def _at(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number) for number in sorted(numbers)]

    def _position(self, at: TopicPartition) -> int:
        return self._consumer.position(at, timeout_ms=_ASK_MS)  # type: ignore[no-any-return]
