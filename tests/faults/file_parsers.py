"""What is parsed from files; `parsers.py` has what comes in records, and all of them."""

import atexit
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream_adapter.encode.class_list import read_class_list
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.errors import StreamAdapterError
from stream_adapter.evaluate.features import Features, read_features, save_features
from stream_adapter.journey.state import JourneyState
from stream_adapter.journey.vocabulary import ClassesNow
from stream_adapter.snapshots import Snapshot
from stream_adapter.transport.files.manifest import ManifestInput
from stream_adapter.transport.files.recording import RecordedInput
from stream_adapter.transport.files.vectors import VectorsInput
from tests.fakes import CLASSES, TEXT_VECTORS

_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)


@dataclass(frozen=True)
class Parser:
    """Something that reads bytes.

    Attributes:
        parse: to be fed; whatever it raises beyond `promised` is a fault.
        seeds: sound inputs.
    """

    name: str
    parse: Callable[[bytes], object]
    seeds: list[bytes]
    promised: tuple[type[Exception], ...] = (StreamAdapterError,)


def _in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    path = _FOLDER / name

    def parse(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return parse


def _snapshot_seed() -> bytes:
    learner = {"learner.x": np.arange(6.0)}
    classes = ClassesNow(CLASSES, TEXT_VECTORS, "v", frozenset(), {})
    facts = ({"window": 9}, {"observed": 2})
    state = JourneyState([("a" * 32, "cat")], learner, {"directions": b"d"}, *facts, classes, {})
    Snapshot("f", "v", 0, "topic", {0: 3}, state.facts(), state.arrays()).write(_FOLDER / "seed.bin")
    return (_FOLDER / "seed.bin").read_bytes()


def _restores(path: Path) -> object:
    snapshot = Snapshot.read(path)
    return JourneyState.of(snapshot.arrays, snapshot.facts)


def _features_seed() -> bytes:
    vocabulary = Vocabulary(CLASSES, TEXT_VECTORS, 10.0)
    features = Features(TEXT_VECTORS, np.arange(len(CLASSES)), np.full(len(CLASSES), "all"), vocabulary, "seed")
    save_features(_FOLDER / "seed.npz", features)
    plain = io.BytesIO()
    np.savez(plain, vectors=TEXT_VECTORS, labels=np.arange(4), class_names=np.array(CLASSES), text_vectors=TEXT_VECTORS)
    return plain.getvalue()


_MANIFESTS = [
    b"path,label,id\na.jpg,cat,1\nb.jpg,,2\n",
    b'{"path": "a.jpg", "label": "cat"}\n',
    b"Path;Label\nx.png;dog\n",
]
_CLASS_LISTS = [
    b"cat\ndog\n",
    b'["cat", "dog"]',
    b'{"id2label": {"0": "cat"}}',
    b"0, tench\n1, shark\n",
    b"names:\n  0: a\n",
]


_RECORDING = {"topic": "t", "partition": 0, "offset": 1, "timestamp_ms": 5, "key": "aw==", "value": "dg=="}


def _manifest(path: Path) -> object:
    return list(ManifestInput(path, labels=True).records(0))


def _vectors_seed() -> bytes:
    plain = io.BytesIO()
    np.savez(plain, vectors=TEXT_VECTORS, fingerprint="f", labels=np.array(CLASSES), ids=np.arange(4))
    return plain.getvalue()


FILE_PARSERS = [
    Parser("snapshots", _in_file("snapshot.bin", _restores), [_snapshot_seed()]),
    Parser("manifests", _in_file("manifest.csv", _manifest), _MANIFESTS),
    Parser(
        "recordings",
        _in_file("recording.jsonl", lambda path: list(RecordedInput(path).records(0))),
        [json.dumps({**_RECORDING, "headers": [["a", "Yg=="]]}).encode() + b"\n"],
    ),
    Parser("class lists", _in_file("classes.txt", read_class_list), _CLASS_LISTS),
    Parser("class lists in YAML", _in_file("classes.yaml", read_class_list), _CLASS_LISTS[::-1]),
    Parser("feature files", _in_file("features.npz", read_features), [_features_seed()]),
    Parser(
        "files of vectors",
        _in_file("vectors.npz", lambda path: list(VectorsInput(path, labels=True).records(0))),
        [_vectors_seed()],
    ),
]
