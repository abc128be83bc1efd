"""What `produce` says in the end; on Kafka in `tests/integration/test_producing.py`."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from stream_adapter.config import Config, parse
from stream_adapter.errors import TransportError
from stream_adapter.operations import produce as module
from stream_adapter.transport.base import Record
from stream_adapter.transport.transport import Progress

YAML = "encoder: {model: m, pretrained: p}\nvocabulary: {classes: [cat]}\n"


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Config:
    """Sends what has a value, to nowhere."""

    def produce(_: object, records: Iterable[Record], topic: str, *, rate: float | None) -> Iterator[Progress]:
        taken = list(records)
        sent = sum(record.value is not None for record in taken)
        refused = Counter({"unreadable file": len(taken) - sent, "too large": 0})
        yield Progress(sent, refused, finished=True)

    monkeypatch.setattr("stream_adapter.transport.kafka.transport.produce", produce)
    return parse(YAML)


def said(config: Config, manifest: Path) -> str:
    text = io.StringIO()
    module.produce_all(
        config, manifest, labels=True, class_folder="own", rate=None, limit=None, console=Console(file=text, width=500)
    )
    return text.getvalue().splitlines()[-1]


def test_what_was_refused_is_counted_with_an_example(config: Config, tmp_path: Path) -> None:
    (tmp_path / "a[b].jpg").write_bytes(b"picture")
    (tmp_path / "list.csv").write_text("path\na[b].jpg\nx[/].jpg\ny.jpg\n")
    assert said(config, tmp_path / "list.csv") == (
        f"1 sent, 2 unreadable file (the first: cannot read {tmp_path}/x[/].jpg: No such file or directory) refused"
    )
    (tmp_path / "list.csv").write_text("path\na[b].jpg\n")
    assert said(config, tmp_path / "list.csv") == "1 sent, none refused"


def test_nothing_sent_is_an_error_with_the_reasons(config: Config, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path\nx.jpg\ny.jpg\n")
    with pytest.raises(TransportError, match=r"nothing was sent, .* 2 unreadable file \(the first: cannot"):
        said(config, tmp_path / "list.csv")
