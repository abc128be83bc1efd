"""A real worker with the page, on the demo's stream and model: for tests in a browser, and for the screenshots."""

import contextlib
import io
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stream_adapter.config import parse
from stream_adapter.demo.feeds import FilesFeed, Picture
from stream_adapter.demo.groceries import groceries
from stream_adapter.demo.pictures import demo_stream
from stream_adapter.demo.run import DemoSettings, _photographs, config_path
from stream_adapter.demo.scenes import DEMO_CLASSES
from stream_adapter.service.build import open_worker
from stream_adapter.service.worker import Worker
from stream_adapter.transport.base import Record, Source

TOKEN = "a token of the tests: 0123456789"


class PacedSource:
    """A source that delivers at most so many records a second, and stays when it is at its end, as a topic does."""

    def __init__(self, source: Source, rate: float) -> None:
        self._source = source
        self._rate = rate
        self._started = time.monotonic()
        self._delivered = 0
        self.stays = True

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        due = int((time.monotonic() - self._started) * self._rate) - self._delivered
        records = self._source.poll(max(0, min(max_records, due)), min(timeout_s, 0.02))
        self._delivered += len(records)
        return records

    @property
    def exhausted(self) -> bool:
        return self._source.exhausted and not self.stays

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def write_stream(
    folder: Path, events: int, *, names: tuple[str, ...] = DEMO_CLASSES, ids: str = "{:06d}", label_share: float = 0.3
) -> None:
    """Draw the demo's stream into `folder`; `names` may rename its classes."""
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    renamed = dict(zip(DEMO_CLASSES, names, strict=True))
    rng = np.random.default_rng(0)
    feed = FilesFeed(folder / "stream.jsonl", folder / "results" / "predictions.jsonl")
    for number, drawn in enumerate(demo_stream(events, shift_at=events // 2, rng=rng)):
        buffer = io.BytesIO()
        drawn.image.save(buffer, "JPEG", quality=92)
        label = renamed[drawn.scene.class_name] if rng.random() < label_share else None
        feed.send(Picture(ids.format(number), buffer.getvalue(), label))
    feed.sent_all()


def write_photographs(folder: Path, events: int) -> None:
    """The demo's photographs with its labels into `folder`, over and over."""
    shop = groceries()
    (folder / "classes.txt").write_text("\n".join(shop.class_names) + "\n")
    feed = FilesFeed(folder / "stream.jsonl", folder / "results" / "predictions.jsonl")
    for number, (data, _, label, _) in enumerate(_photographs(events, DemoSettings(folder))):
        feed.send(Picture(f"{number:06d}", data, label))
    feed.sent_all()


def demo_config(folder: Path, page: str = "", pictures: Literal["groceries", "drawn"] = "drawn") -> str:
    """The demo's configuration on files in `folder`; `page` takes the place of its section `page`."""
    text = config_path(pictures).read_text()
    text = re.sub(r"\$\{DEMO_TRANSPORT[^}]*\}", "files", text)
    text = re.sub(r"\$\{DEMO_FOLDER[^}]*\}", str(folder), text)
    text = re.sub(r"\$\{DEMO_PORT[^}]*\}", "0", text)
    return re.sub(r"^page:.*\Z", page, text, flags=re.MULTILINE | re.DOTALL)


class LiveWorker:
    """A worker in a thread.

    Attributes:
        worker: the worker.
        url: where its page is.
        folder: with the stream and the results.
    """

    def __init__(self, worker: Worker, port: int, rate: float, folder: Path) -> None:
        self.worker = worker
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}/"
        self.source = PacedSource(worker._source, rate)
        worker._source = self.source  # type: ignore[assignment]
        self.thread = threading.Thread(target=worker.run)

    def value(self, name: str, **labels: str) -> float:
        """A metric as it is now."""
        return self.worker.metrics.registry.get_sample_value(f"stream_adapter_{name}", labels) or 0.0

    def wait_for(self, predictions: int, seconds: float = 60.0) -> None:
        """Until so many predictions are durable."""
        deadline = time.monotonic() + seconds
        while self.value("predictions_total") < predictions:
            assert self.thread.is_alive(), "the worker ended"
            assert time.monotonic() < deadline, f"{self.value('predictions_total')} predictions only"
            time.sleep(0.05)


@contextlib.contextmanager
def live_worker(config: str, rate: float) -> Iterator[LiveWorker]:
    """Run a worker on this configuration until the block ends."""
    parsed = parse(config)
    with open_worker(parsed) as worker:
        supervised = worker._supervise.args[0]  # type: ignore[attr-defined]
        assert parsed.files is not None
        live = LiveWorker(worker, supervised.port, rate, parsed.files.input.parent)
        live.thread.start()
        try:
            yield live
        finally:
            worker.stop()
            live.thread.join(30.0)
