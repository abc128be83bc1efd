from pathlib import Path

import pytest

from stream_adapter.config import FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.events import parse_image_event
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files.source import open_input
from stream_adapter.transport.kafka import produce
from stream_adapter.transport.kafka.transport import KafkaTransport
from stream_adapter.transport.transport import Progress, read_all
from tests.integration.cluster import Cluster


def last(steps: list[Progress]) -> Progress:
    assert [step.finished for step in steps] == [False] * (len(steps) - 1) + [True]
    return steps[-1]


def test_a_folder_goes_to_the_topic_and_what_cannot_is_counted(cluster: Cluster, tmp_path: Path) -> None:
    for name, size in (("cat/a.jpg", 10), ("cat/b.jpg", 20 * 2**20 + 1), ("dog/c.png", 20), ("dog/d.png", 30 * 2**20)):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    (tmp_path / "pictures" / "cat" / "gone.jpg").write_bytes(b"x")
    folder = open_input(FilesConfig(input=tmp_path / "pictures", output=tmp_path))
    (tmp_path / "pictures" / "cat" / "gone.jpg").unlink()

    progress = last(list(produce(cluster.config, folder.records(0), cluster.config.topics.images)))
    assert progress.sent == 2
    assert progress.refused == {"too large": 2, "unreadable file": 1}
    events = sorted(map(parse_image_event, read_all(KafkaTransport(cluster.config), "images")), key=lambda e: e.id)
    assert [(event.id, event.label, event.record.key, len(event.data)) for event in events] == [
        ("cat/a.jpg", "cat", b"cat/a.jpg", 10),
        ("dog/c.png", "dog", b"dog/c.png", 20),
    ]


def test_the_rate_is_kept(cluster: Cluster) -> None:
    now = [100.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    records = (Record(Partition("x", 0), n, 0, None, b"v") for n in range(40))
    steps = produce(cluster.config, records, cluster.config.topics.images, rate=20.0, clock=lambda: now[0], sleep=sleep)
    assert last(list(steps)).sent == 40
    assert sum(waits) == pytest.approx(39 / 20)


def test_no_more_is_read_than_is_asked_for(cluster: Cluster) -> None:
    """An endless input with its consumer gone ends in order."""
    read = 0

    def endless() -> object:
        nonlocal read
        while True:
            read += 1
            yield Record(Partition("x", 0), read, 0, None, b"v")

    now = [0.0]

    def clock() -> float:
        now[0] += 0.01
        return now[0]

    steps = produce(cluster.config, endless(), cluster.config.topics.images, clock=clock)
    next(steps)
    steps.close()
    assert read < 100
    assert len(cluster.read(cluster.config.topics.images)) == read


def test_a_missing_topic_is_an_error(cluster: Cluster) -> None:
    with pytest.raises(TransportError, match="topic 'nowhere' not found"):
        list(produce(cluster.config, [], "nowhere"))
