"""A client that means harm, on real vectors: how far accuracy falls, what shows it, and whether it is undone.

STREAM_ADAPTER_DATA=… python -m tests.faults.poisoned     # the table of docs/reliability.md; PACS, CLIP ViT-B/16
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_adapter import Adapter, Anchor
from tests.shared_data import shared

Vectors = NDArray[np.float32]
FILE = "pacs_clip_vitb16.npz"
TAUGHT, TRAFFIC, HELD_OUT = 600, 1_200, 1_500
_BATCH = 200


@dataclass
class Data:
    """Unit vectors of pictures, their classes, and the classes' own vectors."""

    vectors: Vectors
    labels: NDArray[np.int64]
    names: Sequence[str]
    texts: Vectors
    scale: float
    rng: np.random.Generator


class Client:
    """An adapter with what honest clients sent; then what somebody else sends, and how it is taken back."""

    def __init__(self, data: Data, cap: int | None = None, taught: int = TAUGHT) -> None:
        self.data = data
        self._cap = cap  # labels that are learned of the one who means harm
        self.adapter = Adapter(data.texts, list(data.names), data.scale)
        self._sent = 0
        self.poison: list[str] = []
        self.send(data.vectors[:TRAFFIC], [*data.labels[:taught], *[None] * (TRAFFIC - taught)])

    def send(self, vectors: Vectors, labels: Sequence[int | None], *, poison: bool = False) -> None:
        """Events in batches, each predicted and then learned."""
        if poison and self._cap is not None:
            labels = [*labels[: self._cap], *[None] * (len(labels) - self._cap)]
        for start in range(0, len(vectors), _BATCH):
            part, said = vectors[start : start + _BATCH], labels[start : start + _BATCH]
            ids = [f"{self._sent + n:032x}" for n in range(len(part))]
            self._sent += len(part)
            self.adapter.predict(part)
            anchors = [
                Anchor(id, vector, self.data.names[label], event_time_ms=self._sent)
                for id, vector, label in zip(ids, part, said, strict=True)
                if label is not None
            ]
            self.adapter.update(ids, part, anchors)
            if poison:
                self.poison += ids

    def accuracy(self) -> tuple[float, float]:
        """On held-out pictures, in points of 100: of all, and of the worst class."""
        vectors, labels = self.data.vectors[-HELD_OUT:], self.data.labels[-HELD_OUT:]
        said = np.concatenate([self.adapter.predict(part).adapted.argmax(axis=1) for part in np.split(vectors, 15)])
        classes = [float((said == labels)[labels == c].mean()) for c in np.unique(labels)]
        return 100 * float((said == labels).mean()), 100 * min(classes)


def near_copies(client: Client) -> None:
    """1,000 near-copies of one picture, called another class."""
    data = client.data
    picture, wrong = data.vectors[TRAFFIC], (int(data.labels[TRAFFIC]) + 1) % len(np.unique(data.labels))
    copies = picture + data.rng.normal(size=(1_000, data.vectors.shape[1])).astype(np.float32) * 0.002
    client.send(_unit(copies), [wrong] * 1_000, poison=True)


def flipped(client: Client) -> None:
    """600 more labels, 30 % of them wrong."""
    data = client.data
    rows = slice(TRAFFIC, TRAFFIC + TAUGHT)
    labels = data.labels[rows].copy()
    wrong = np.flatnonzero(data.rng.random(TAUGHT) < 0.3)
    labels[wrong] = data.rng.integers(len(np.unique(data.labels)), size=len(wrong))
    client.send(data.vectors[rows][wrong], [int(label) for label in labels[wrong]], poison=True)
    right = np.setdiff1d(np.arange(TAUGHT), wrong)
    client.send(data.vectors[rows][right], [int(label) for label in labels[right]])


def one_class(client: Client) -> None:
    """600 different pictures of all classes, all called the first class."""
    rows = slice(TRAFFIC, TRAFFIC + TAUGHT)
    client.send(client.data.vectors[rows], [0] * TAUGHT, poison=True)


def a_name_looks_present(client: Client) -> None:
    """4,000 unlabelled vectors near the name of a class that never occurs."""
    data = client.data
    absent = next(c for c in range(len(data.names)) if c not in set(data.labels.tolist()))
    near = _unit(data.vectors[TRAFFIC : TRAFFIC + 1] * 0.9 + data.texts[absent] * 0.6)
    noise = data.rng.normal(size=(4_000, near.shape[1])).astype(np.float32) * 0.01
    client.send(_unit(near + noise), [None] * 4_000)


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


ATTACKS: dict[str, Callable[[Client], None]] = {
    "1,000 near-copies of one picture under a wrong name": near_copies,
    "600 further labels, 30 % of them at random": flipped,
    "600 pictures of all classes, all called one class": one_class,
    "4,000 events near a name that never occurs": a_name_looks_present,
}


def undo(client: Client) -> str:
    """Take back what was sent, by labels or by honest traffic; returns how."""
    how = "`anchors delete`"
    if client.poison:
        client.adapter.forget(client.poison)
    else:
        honest = client.data.vectors[TRAFFIC + TAUGHT : -HELD_OUT]
        client.send(honest, [None] * len(honest))
        how = f"{len(honest):,} honest events later"
    client.send(client.data.vectors[:_BATCH], [None] * _BATCH)
    return how


def read(seed: int = 0) -> Data:
    """The data, shuffled."""
    rng = np.random.default_rng(seed)
    with np.load(shared(FILE)) as stored:
        known = np.flatnonzero(stored["labels"] >= 0)
        order = rng.permutation(known)
        vectors = _unit(stored["vectors"][order].astype(np.float32))
        texts = _unit(stored["text_vectors"].astype(np.float32))
        scale = float(stored["logit_scale"]) if "logit_scale" in stored else 100.0
        return Data(
            vectors, stored["labels"][order].astype(np.int64), stored["class_names"].tolist(), texts, scale, rng
        )


CAPS = (300, 100, 30)


def caps() -> None:
    """Print what a cap on the labels of one annotator would leave of the harm, and cost an honest one."""
    print(
        "| most labels of one annotator |", " | ".join(map(str, (TAUGHT, *CAPS))), "|\n|---|" + "---|" * (1 + len(CAPS))
    )
    for name in ("600 further labels, 30 % of them at random", "600 pictures of all classes, all called one class"):
        cells = []
        for cap in (TAUGHT, *CAPS):
            client = Client(read(), cap)
            ATTACKS[name](client)
            cells.append(_shown(client))
        print(f"| {name} |", " | ".join(cells), "|", flush=True)
    honest = [_shown(Client(read(), taught=cap)) for cap in (TAUGHT, *CAPS)]
    print("| an honest annotator who labels alone |", " | ".join(honest), "|")


def _shown(client: Client) -> str:
    return "{:.1f} ({:.1f})".format(*client.accuracy())


def main() -> None:
    """Print the tables."""
    print("| what is sent | before | after | undone | how |\n|---|---|---|---|---|")
    for name, attack in ATTACKS.items():
        client = Client(read())
        before = client.accuracy()
        attack(client)
        after = client.accuracy()
        how = undo(client)
        undone = client.accuracy()
        cells = [f"{overall:.1f} ({worst:.1f})" for overall, worst in (before, after, undone)]
        print(f"| {name} | {' | '.join(cells)} | {how} |", flush=True)
    print()
    caps()


if __name__ == "__main__":
    main()
