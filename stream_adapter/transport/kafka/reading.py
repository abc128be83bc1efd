"""Reading a topic as a whole, outside of any group: a restore, a recording, a list for people."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from kafka import OffsetAndMetadata, TopicPartition

from stream_adapter.errors import Unreachable
from stream_adapter.transport.base import Record
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import require_topics, topic_setting

_PORTION = 1_000
_POLL_MS = 500
_LOOK_EVERY_S = 5.0
_LOOK_MS = 1_000


class TopicReader:
    """Reads all partitions of a topic, first to its end, then what comes; a `Log`.

    Args:
        group_id: keeps the place under this name: the next reader with it goes on where `commit` was last called.

    Raises:
        TransportError: no broker answers, or the topic does not exist.
    """

    def __init__(self, connection: Connection, topic: str, group_id: str | None = None) -> None:
        self._connection = connection
        self.name = topic
        number = require_topics(connection, [topic])[topic]
        self._partitions = [TopicPartition(topic, partition) for partition in range(number)]
        self._consumer = connection.consumer(group_id=group_id, auto_offset_reset="earliest")
        self._consumer.assign(self._partitions)
        self._beyond_the_end: list[Record] = []
        self._look_at = time.monotonic() + _LOOK_EVERY_S
        self._looking: Future[object] | None = None

    @property
    def whole_for_ms(self) -> int:
        """For how long nothing of the topic is compacted, milliseconds; errors as `topic_setting`."""
        return topic_setting(self._connection, self.name, "min.compaction.lag.ms")

    def seek(self, offsets: Mapping[int, int]) -> bool:
        """Begin at these offsets, by partition, and in other partitions at their beginning.

        Returns:
            False, and nothing is changed, where the topic has not so many records, or has deleted some from there on.

        Raises:
            TransportError: the topic cannot be read.
        """
        wanted = {TopicPartition(self.name, number): offset for number, offset in offsets.items()}
        ends = self._connection.retried(f"cannot find the end of topic {self.name!r}", self._ends)
        begins = self._connection.retried(f"cannot find the beginning of topic {self.name!r}", self._begins)
        if any(at not in ends or not begins[at] <= offset <= ends[at] for at, offset in wanted.items()):
            return False
        for at in self._partitions:
            self._consumer.seek(at, wanted.get(at, begins[at]))
        return True

    def ends(self) -> dict[int, int]:
        """For each partition the offset after its last committed record."""
        ends = self._connection.retried(f"cannot find the end of topic {self.name!r}", self._ends)
        return {at.partition: end for at, end in ends.items()}

    def ends_at(self, time_ms: int) -> dict[int, int]:
        """For each partition the offset of the first record that is later than this, or of its end as it is now."""

        def ask(timeout_ms: int) -> Any:
            return self._consumer.offsets_for_times(dict.fromkeys(self._partitions, time_ms + 1), timeout_ms=timeout_ms)

        found = self._connection.retried(f"cannot look up a time in topic {self.name!r}", ask)
        later = {at.partition: first.offset for at, first in found.items() if first is not None}
        return {**self.ends(), **later}

    def portions(self, until: Mapping[int, int] | None = None) -> Iterator[list[Record]]:
        """The records up to the end of the topic as it is now, each partition in order, in portions.

        From the beginning, or from the committed place where there is one.

        The end is a position, not a number of records: compaction and transactions leave gaps in the offsets. Gives up
        where the topic gave nothing for the connection's deadline. See `Log.portions`.
        """
        deadline_s = self._connection.deadline_s
        waiting, self._beyond_the_end = self._beyond_the_end, []
        if waiting:
            yield waiting
        ends = self._connection.retried(f"cannot find the end of topic {self.name!r}", self._ends)
        for number, end in (until or {}).items():
            at = TopicPartition(self.name, number)
            ends[at] = min(end, ends[at])
        progress_at, positions = time.monotonic(), self._positions()
        while any((positions[at] or 0) < end for at, end in ends.items()):
            polled = self._poll(_POLL_MS)
            # Whoever writes to the topic because of what is read here (a replay) must not be fed its own echo.
            records = [record for record in polled if record.offset < ends[TopicPartition(*record.partition)]]
            self._beyond_the_end += [
                record for record in polled if record.offset >= ends[TopicPartition(*record.partition)]
            ]
            if records:
                yield records
            before, positions = positions, self._positions()
            if positions != before:
                progress_at = time.monotonic()
            elif time.monotonic() - progress_at > deadline_s:
                raise Unreachable(
                    f"topic {self.name!r} at {self._connection.servers} gave nothing for {deadline_s:.0f} s at "
                    f"positions {_readable(positions)} of {_readable(ends)}; is the broker up?"
                )

    def new(self) -> list[Record]:
        """Records that have come since, at most a thousand; never waits for them.

        Raises:
            Unreachable: the topic is gone or no broker answers, which is found out now and then.
            TransportError: the topic cannot be read.
        """
        waiting, self._beyond_the_end = self._beyond_the_end, []
        records = waiting or self._poll(0)
        if records:
            self._look_at, self._looking = time.monotonic() + _LOOK_EVERY_S, None
        elif self._looking is None:
            if time.monotonic() >= self._look_at:
                self._looking = self._look()
        elif self._looking.done():
            if self._looking.exception() is not None:  # where nothing is read there is nothing to be kept from
                with self._connection.errors_of(f"cannot read topic {self.name!r}"):
                    self._ends(_LOOK_MS)
            self._look_at, self._looking = time.monotonic() + _LOOK_EVERY_S, None
        return records

    def commit(self, records: Iterable[Record]) -> None:
        """Keep the place after these records for the next reader with this `group_id`."""
        after = {TopicPartition(*record.partition): OffsetAndMetadata(record.offset + 1, "", -1) for record in records}
        self._connection.retried(
            f"cannot commit the place in topic {self.name!r}",
            lambda timeout_ms: self._consumer.commit(after, timeout_ms=timeout_ms),
        )

    def close(self) -> None:
        """Release the consumer."""
        with self._connection.errors_of(f"cannot close the reader of topic {self.name!r}"):
            self._consumer.close(timeout_ms=1_000)

    def _look(self) -> Future[object]:
        """Ask for the end: the client says nothing of a topic that is gone, it would wait for it.

        Not in the caller's thread: on the same connection a fetch waits half a second for records, and the broker
        answers one after the other.
        """
        looking: Future[object] = Future()

        def ask() -> None:
            try:
                looking.set_result(self._ends(_LOOK_MS))
            except BaseException as error:  # noqa: BLE001 - the caller asks again, in its own thread
                looking.set_exception(error)

        threading.Thread(target=ask, name="kafka-look", daemon=True).start()
        return looking

    def _poll(self, timeout_ms: int) -> list[Record]:
        polled = self._connection.retried(
            f"cannot read topic {self.name!r}",
            lambda _: self._consumer.poll(timeout_ms=timeout_ms, max_records=_PORTION),
        )
        return [record for batch in polled.values() for record in batch]

    def _ends(self, timeout_ms: int) -> dict[TopicPartition, int]:
        return self._consumer.end_offsets(self._partitions, timeout_ms=timeout_ms)  # type: ignore[no-any-return]

    def _begins(self, timeout_ms: int) -> dict[TopicPartition, int]:
        return self._consumer.beginning_offsets(  # type: ignore[no-any-return]
            self._partitions, timeout_ms=timeout_ms
        )

    def _positions(self) -> dict[TopicPartition, int | None]:
        def ask(_: int) -> dict[TopicPartition, int | None]:
            return {at: self._consumer.position(at, timeout_ms=_POLL_MS) for at in self._partitions}

        return self._connection.retried(f"cannot tell the position in topic {self.name!r}", ask)


def _readable(positions: Mapping[TopicPartition, int | None]) -> str:
    return ", ".join(f"{at.partition}: {offset}" for at, offset in sorted(positions.items()))
