"""The stream of `effect.py`, and what is read of its predictions, in a process of its own on librdkafka.

    python effect_stream.py SERVERS RATE SECONDS

So many events a second, evenly, for so long; then one line of JSON. It runs with the interpreter of the peers, whose
client takes a tenth of the processor time of the worker's, which shares the cores with it.
"""

import json
import sys
import time

import numpy as np
from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition
from peer_work import NAMES, D
from peers import PARTITIONS, payloads

from stream_adapter.encode.vectors_only import FINGERPRINT
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.events.image import anchor_id_of

KIND, SOURCE = "vectors", "/peers"
TRIAL_EVERY_S, LAST_S, REST_S = 1.0, 5.0, 2.0
PLAIN = 3_000  # different ones; then they come again


class Stream:
    """Sends events, trials and probes among them, and reads predictions."""

    def __init__(self, servers: str) -> None:
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 5})
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": "effect-reader"})
        self._consumer.assign([TopicPartition("effect-predictions", at, OFFSET_END) for at in range(PARTITIONS)])
        self._plain = list(payloads(KIND, PLAIN))
        self._vectors: list[bytes] = []  # of the trials
        self._sent_s: dict[str, float] = {}  # trials and probes
        self._seen: set[int] = set()  # trials that had their effect
        self._number = 0
        self.effects_s: list[float] = []
        self.journeys_s: list[float] = []

    @property
    def trials(self) -> int:
        """How many labels there were."""
        return len(self._vectors)

    def run(self, rate: float, seconds: float) -> None:
        """Send evenly, and read; a machine that stands still makes up for it."""
        rng, began, last_s = np.random.default_rng(1), time.perf_counter(), -TRIAL_EVERY_S
        while (now := time.perf_counter() - began) < seconds + REST_S:
            while self._number < min(now, seconds) * rate:
                waiting = [trial for trial in range(self.trials) if trial not in self._seen]
                if now >= last_s + TRIAL_EVERY_S and now < seconds - LAST_S:
                    vector, last_s = rng.normal(size=D), now
                    self._vectors.append((vector / np.linalg.norm(vector)).astype("<f4").tobytes())
                    self._send(f"trial-{self.trials - 1}", self._vectors[-1], NAMES[self.trials % len(NAMES)])
                elif waiting and self._number % 2:
                    trial = waiting[self._number // 2 % len(waiting)]
                    self._send(f"probe-{trial}-{self._number}", self._vectors[trial], None)
                else:
                    data, _, name = self._plain[self._number % PLAIN]
                    self._send(f"plain-{self._number}", data, name if self._number % 3 == 0 else None)
            self._producer.poll(0)
            self._read()

    def _send(self, id: str, data: bytes, label: str | None) -> None:
        headers = image_event_headers(
            source=SOURCE, id=id, content_type=EMBEDDING, time_ms=int(time.time() * 1e3), label=label
        )
        headers += (("ce_fingerprint", FINGERPRINT.encode()),)
        if not id.startswith("plain"):
            self._sent_s[id] = time.perf_counter()
        self._producer.produce(KIND, data, id, partition=self._number % PARTITIONS, headers=list(headers))
        self._number += 1

    def _read(self) -> None:
        for message in self._consumer.consume(200, 0.002):
            id = (message.key() or b"").decode()
            if message.error() or not id.startswith("probe"):
                continue
            now, trial = time.perf_counter(), int(id.split("-")[1])
            self.journeys_s.append(now - self._sent_s[id])
            if trial in self._seen:
                continue
            named = {anchor["id"] for anchor in json.loads(message.value())["anchors"]}
            if anchor_id_of(SOURCE, f"trial-{trial}") in named:
                self._seen.add(trial)
                self.effects_s.append(now - self._sent_s[f"trial-{trial}"])


def main() -> None:
    """Send, read, and say what was seen."""
    servers, rate, seconds = sys.argv[1:]
    stream = Stream(servers)
    stream.run(float(rate), float(seconds))
    print(json.dumps({"trials": stream.trials, "effects_s": stream.effects_s, "journeys_s": stream.journeys_s}))


if __name__ == "__main__":
    main()
