"""A stream of labelled vectors, and what must have become of every one of them."""

import threading
import time

import numpy as np
from kafka import KafkaProducer
from numpy.typing import NDArray

from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.events.label import LabelEvent

SOURCE = "/campaign"
PROBE = "probe-"  # how the ids of events begin that only ask
_LABELLED = 0.4
_CORRECTED = 0.1  # of the labelled ones
_CORRECTED_AFTER = 150  # events
_LATEST = 300  # events after its own a label comes at most


class Stream(threading.Thread):
    """Sends events at a rate until it is told to stop.

    Args:
        servers: the broker.
        topic: the images topic.
        partitions: its partitions, filled in turn.
        vocabulary: classes; an event's vector lies near its class's text vector.
        fingerprint: of the encoder that the vectors are said to come from.
        rate: events a second.
        seed: of everything that is drawn.
        labels_topic: where labels are sent by the ids of their events, late; None: they come with their events.
    """

    def __init__(
        self,
        servers: str,
        topic: str,
        partitions: int,
        vocabulary: Vocabulary,
        fingerprint: str,
        *,
        rate: float,
        seed: int,
        labels_topic: str | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self._topic = topic
        self._partitions = partitions
        self._vocabulary = vocabulary
        self._fingerprint = fingerprint
        self._rate = rate
        self._rng = np.random.default_rng(seed)
        self._labels_topic = labels_topic
        self._to_say: list[tuple[int, LabelEvent]] = []  # after how many events, and what
        self._ended = threading.Event()
        self._to_correct: list[tuple[int, str, int, NDArray[np.float32]]] = []
        # Without idempotence: after an outage kafka-python's idempotent producer would be dead. What fails is sent
        # again; where only the answer was lost, the topic has it twice, and it is the topic that counts.
        self._producer = KafkaProducer(
            bootstrap_servers=servers, enable_idempotence=False, retries=0, acks="all", linger_ms=0
        )

    def run(self) -> None:
        """Send, one by one, each acknowledged before the next."""
        started, number = time.monotonic(), 0
        while not self._ended.is_set():
            while self._to_correct and self._to_correct[0][0] <= number:
                _, event_id, label, vector = self._to_correct.pop(0)
                self._send(event_id, number % self._partitions, label, vector, partition_of=event_id)
            self._say(number)
            label = int(self._rng.integers(len(self._vocabulary.class_names)))
            vector = self.vector(label)
            event_id = f"{number:06d}"
            if self._labels_topic is not None:
                self._plan_labels(number, event_id, label)
                self._send(event_id, number % self._partitions, None, vector)
            elif self._rng.random() < _LABELLED:
                self._send(event_id, number % self._partitions, label, vector)
                if self._rng.random() < _CORRECTED:
                    other = (label + 1) % len(self._vocabulary.class_names)
                    self._to_correct.append((number + _CORRECTED_AFTER, event_id, other, vector))
            else:
                self._send(event_id, number % self._partitions, None, vector)
            number += 1
            time.sleep(max(0.0, started + number / self._rate - time.monotonic()))
        self._say(number + _LATEST)

    def stop(self) -> None:
        """Send no more; returns when the last event was acknowledged."""
        self._ended.set()
        self.join(60.0)

    def vector(self, label: int) -> NDArray[np.float32]:
        """A unit vector near a class: float32 (d,)."""
        text = self._vocabulary.text_vectors[label]
        noisy = text + self._rng.normal(size=text.shape).astype(np.float32) / np.sqrt(len(text))
        return np.asarray(noisy / np.linalg.norm(noisy), np.float32)

    def probe(self, name: str, vector: NDArray[np.float32], partition: int) -> None:
        """Send an event without a label."""
        self._put(f"{name}-{partition}", partition, None, vector)

    def teach(self, event_id: str, label: int, partition: int) -> None:
        """Send one labelled event."""
        self._put(event_id, partition, self._vocabulary.class_names[label], self.vector(label))

    def _plan_labels(self, number: int, event_id: str, label: int) -> None:
        """Labels of an event, later, some before it; some are corrected or withdrawn, some of these out of order."""
        if self._rng.random() >= _LABELLED:
            return
        names = self._vocabulary.class_names
        said: list[str | None] = [names[label]]
        if self._rng.random() < 2 * _CORRECTED:
            said.append(None if self._rng.random() < 0.5 else names[(label + 1) % len(names)])
        now_ms = int(time.time() * 1000)
        for order, name in enumerate(said):
            after = int(self._rng.integers(_LATEST)) if self._rng.random() > 0.1 else 0
            event = LabelEvent.new(SOURCE, event_id, name, time_ms=now_ms + order, annotator="campaign")
            self._to_say.append((number + after, event))

    def _say(self, number: int) -> None:
        """Send the labels that are due, each acknowledged; what fails is sent again, and may then be there twice."""
        due = [event for after, event in self._to_say if after <= number]
        self._to_say = [one for one in self._to_say if one[0] > number]
        for event in due:
            record = event.to_record()
            while True:
                try:
                    future = self._producer.send(
                        self._labels_topic, record.value, key=record.key, headers=list(record.headers)
                    )
                    self._producer.flush(timeout=30)
                    future.get(timeout=30)
                    break
                except Exception:
                    time.sleep(0.2)

    def _send(
        self, event_id: str, partition: int, label: int | None, vector: NDArray[np.float32], partition_of: str = ""
    ) -> None:
        if partition_of:  # a correction goes where the event went
            partition = int(partition_of) % self._partitions
        name = None if label is None else self._vocabulary.class_names[label]
        while not self._put(event_id, partition, name, vector):
            if self._ended.wait(0.2):
                return

    def _put(self, event_id: str, partition: int, label: str | None, vector: NDArray[np.float32]) -> bool:
        headers = image_event_headers(
            source=SOURCE, id=event_id, content_type=EMBEDDING, label=label, time_ms=int(time.time() * 1000)
        )
        headers = (*headers, ("ce_fingerprint", self._fingerprint.encode()))
        try:
            future = self._producer.send(
                self._topic,
                vector.astype("<f4").tobytes(),
                key=event_id.encode(),
                headers=list(headers),
                partition=partition,
            )
            self._producer.flush(timeout=30)
            future.get(timeout=30)
        except Exception:
            return False
        return True
