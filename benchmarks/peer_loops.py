"""One peer of `peers.py` in its process: the worker, or the loop that somebody would write in its place.

    python peer_loops.py NAME KIND SERVERS TOPICS EVENTS WARM_UP

What a loop does with a batch is the same for all of them: `peer_work.py`.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from peer_work import Event, Loop, Meter, Written

_BATCH = {"pictures": 64, "vectors": 500}


def bare_kafka_python(loop: Loop, kind: str, servers: str, topics: str, meter: Meter) -> None:
    """kafka-python, a transaction for each batch."""
    from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata

    consumer = KafkaConsumer(
        kind,
        bootstrap_servers=servers,
        group_id=topics,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_poll_records=_BATCH[kind],
    )
    producer = KafkaProducer(bootstrap_servers=servers, transactional_id=topics, acks="all", linger_ms=5)
    producer.init_transactions()
    meter.start()
    while True:
        polled = consumer.poll(timeout_ms=100)
        events = [Event(one.key, one.value, dict(one.headers)) for batch in polled.values() for one in batch]
        if not events:
            continue
        producer.begin_transaction()
        for one in loop(events):
            producer.send(f"{topics}-predictions", one.prediction, key=one.key)
            if one.anchor is not None:
                producer.send(f"{topics}-anchors", one.anchor[0], key=one.key, headers=one.anchor[1])
        offsets = {at: OffsetAndMetadata(batch[-1].offset + 1, "", -1) for at, batch in polled.items()}
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
        producer.commit_transaction()
        meter.done += len(events)


def bare_confluent(loop: Loop, kind: str, servers: str, topics: str, meter: Meter) -> None:
    """confluent-kafka, a transaction for each batch."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": topics,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([kind])
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topics, "acks": "all", "linger.ms": 5})
    producer.init_transactions()
    meter.start()
    while True:
        messages = consumer.consume(_BATCH[kind], timeout=0.1)
        if not messages:
            continue
        producer.begin_transaction()
        for one in loop([Event(one.key(), one.value(), dict(one.headers())) for one in messages]):
            producer.produce(f"{topics}-predictions", one.prediction, one.key)
            if one.anchor is not None:
                producer.produce(f"{topics}-anchors", one.anchor[0], one.key, headers=one.anchor[1])
        ends = {(one.topic(), one.partition()): one.offset() + 1 for one in messages}
        offsets = [TopicPartition(*at, offset) for at, offset in ends.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        producer.commit_transaction()
        meter.done += len(messages)


def quix(loop: Loop, kind: str, servers: str, topics: str, meter: Meter) -> None:
    """Quix Streams, exactly once; it hands over one event at a time."""
    from quixstreams import Application

    app = Application(
        servers,
        consumer_group=topics,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_every=_BATCH[kind],
        auto_create_topics=False,
        loglevel="ERROR",
    )
    images = app.topic(kind, key_deserializer="bytes", value_deserializer="bytes")
    predictions = app.topic(f"{topics}-predictions", key_serializer="bytes", value_serializer="bytes")
    anchors = app.topic(f"{topics}-anchors", key_serializer="bytes", value_serializer="bytes")

    def answer(value: bytes, key: bytes, _timestamp: int, headers: Any) -> Written:
        (written,) = loop([Event(key, value, dict(headers))])
        meter.done += 1
        return written

    answers = app.dataframe(images).apply(answer, metadata=True)
    answers.apply(lambda one: one.prediction).to_topic(predictions)
    labelled = answers.filter(lambda one: one.anchor is not None)
    labelled = labelled.set_headers(lambda one, _key, _timestamp, _headers: one.anchor[1])
    labelled.apply(lambda one: one.anchor[0]).to_topic(anchors)
    meter.start()
    app.run()


def bytewax(loop: Loop, kind: str, servers: str, topics: str, meter: Meter) -> None:
    """Bytewax in batches, at least once: its Kafka sink has no transactions."""
    from datetime import timedelta

    import bytewax.operators as op
    from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.recovery import RecoveryConfig, init_db_dir
    from bytewax.testing import run_main

    recovery = Path(topics)
    recovery.mkdir()
    init_db_dir(recovery, 1)

    def answer(batch: Sequence[Any]) -> list[Written]:
        written = loop([Event(one.key, one.value, dict(one.headers)) for one in batch])
        meter.done += len(batch)
        return written

    flow = Dataflow("peer")
    source = KafkaSource([servers], [kind], batch_size=_BATCH[kind])
    answers = op.flat_map_batch("answer", op.input("images", flow, source), answer)
    predictions = op.map("prediction", answers, lambda one: KafkaSinkMessage(one.key, one.prediction))
    op.output("predictions", predictions, KafkaSink([servers], f"{topics}-predictions"))
    labelled = op.filter("labelled", answers, lambda one: one.anchor is not None)
    anchors = op.map("anchor", labelled, lambda one: KafkaSinkMessage(one.key, one.anchor[0], headers=one.anchor[1]))
    op.output("anchors", anchors, KafkaSink([servers], f"{topics}-anchors"))
    meter.start()
    run_main(flow, epoch_interval=timedelta(seconds=1), recovery_config=RecoveryConfig(recovery))


LOOPS: Mapping[str, Callable[[Loop, str, str, str, Meter], None]] = {
    "bare-kafka-python": bare_kafka_python,
    "bare-confluent": bare_confluent,
    "quix": quix,
    "bytewax": bytewax,
}


def main() -> None:
    """Run one; it ends when all events are done."""
    name, kind, servers, topics, events, warm_up = sys.argv[1:]
    meter = Meter(int(events), int(warm_up))
    if name == "stream-adapter":
        from stream_adapter.cores import share_cores

        share_cores()  # as `stream-adapter run` does
        from peer_worker import worker  # here, because it fills the memory of whoever imports it

        worker(kind, servers, topics, meter)
    else:
        LOOPS[name](Loop(kind, int(events)), kind, servers, topics, meter)


if __name__ == "__main__":
    main()
