"""What the peers of `peers.py` share: what a loop does with a batch (`Loop`), and what is measured (`Meter`).

A loop decodes with Pillow and open_clip's own transform, embeds, asks zero-shot and the votes of the nearest labelled
vectors (hnswlib), learns the labels, and writes JSON.
"""

import json
import os
import re
import resource
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import stream_adapter

D = 512
NAMES = tuple(f"class {number}" for number in range(171))
CLASSES = tuple(
    f"{colour} {shape}"
    for colour in ("red", "blue", "green", "yellow", "purple", "orange", "pink", "brown")
    for shape in ("circle", "star", "triangle", "diamond", "square")
)
MODEL = Path(stream_adapter.__file__).parent / "demo" / "model" / "small-clip.json"
_TOP, _NEIGHBOURS = 5, 16


class Event(NamedTuple):
    """A record, as far as a loop reads it."""

    key: bytes
    value: bytes
    headers: dict[str, bytes]


class Written(NamedTuple):
    """What is written about an event: a prediction, and an anchor where there is a label."""

    key: bytes
    prediction: bytes
    anchor: tuple[bytes, list[tuple[str, bytes]]] | None


def class_vectors() -> NDArray[np.float32]:
    """Unit vectors, float32 (C, d), in place of a text tower's."""
    texts = np.random.default_rng(1).normal(size=(len(NAMES), D)).astype(np.float32)
    return np.asarray(texts / np.linalg.norm(texts, axis=1, keepdims=True), np.float32)


class Loop:
    """The part that is about pictures and labels, as short as somebody would write it."""

    def __init__(self, kind: str, capacity: int) -> None:
        import hnswlib

        self._kind = kind
        if kind == "pictures":
            import open_clip
            import torch

            open_clip.add_model_config(MODEL)
            weights = str(MODEL.with_suffix(".safetensors"))
            self._model, _, self._transform = open_clip.create_model_and_transforms("small-clip", pretrained=weights)
            self._model.eval()
            self.names: Sequence[str] = CLASSES
            with torch.inference_mode():
                texts = self._model.encode_text(open_clip.get_tokenizer("small-clip")(list(CLASSES)), normalize=True)
            self._texts, self._scale = texts.numpy(), float(self._model.logit_scale.exp())
        else:
            self.names, self._texts, self._scale = NAMES, class_vectors(), 100.0
        self._index = hnswlib.Index("ip", self._texts.shape[1])
        self._index.init_index(capacity, M=16, ef_construction=100)
        self._index.set_num_threads(1)
        self._labels: list[int] = []
        self._number = {name: index for index, name in enumerate(self.names)}

    def __call__(self, events: Sequence[Event]) -> list[Written]:
        """Answer, then learn the labels."""
        vectors = self._embed(events)
        logits = self._scale * (vectors @ self._texts.T)
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        zero_shot = scores.copy()
        near = cosines = np.zeros((len(events), 0))
        if self._labels:
            near, distances = self._index.knn_query(vectors, k=min(_NEIGHBOURS, len(self._labels)))
            cosines = 1.0 - distances
            for row, (ids, weights) in enumerate(zip(near, np.exp(10.0 * (cosines - 1.0)), strict=True)):
                np.add.at(scores[row], [self._labels[id] for id in ids], weights)
            scores /= scores.sum(axis=1, keepdims=True)
        best = np.argsort(-scores, axis=1)[:, :_TOP]
        written = []
        for row, event in enumerate(events):
            said = {
                "event": {name: event.headers[f"ce_{name}"].decode() for name in ("id", "source", "time")},
                "top": [
                    {
                        "label": self.names[c],
                        "adapted": float(round(scores[row, c], 6)),
                        "zero_shot": float(round(zero_shot[row, c], 6)),
                    }
                    for c in best[row]
                ],
                "anchors": [
                    {"id": int(id), "label": self.names[self._labels[id]], "cosine": float(round(cosine, 6))}
                    for id, cosine in zip(near[row], cosines[row], strict=True)
                ],
            }
            label, anchor = event.headers.get("ce_label"), None
            if label is not None:
                headers = [("label", label), ("id", event.headers["ce_id"]), ("time", event.headers["ce_time"])]
                anchor = vectors[row].astype(np.float16).tobytes(), headers
            written.append(Written(event.key, json.dumps(said).encode(), anchor))
        rows = [row for row, event in enumerate(events) if "ce_label" in event.headers]
        if rows:
            first = len(self._labels)
            self._index.add_items(vectors[rows], np.arange(first, first + len(rows)))
            self._labels += [self._number[events[row].headers["ce_label"].decode()] for row in rows]
        return written

    def _embed(self, events: Sequence[Event]) -> NDArray[np.float32]:
        if self._kind == "vectors":
            return np.stack([np.frombuffer(event.value, "<f4") for event in events])
        import io

        import torch
        from PIL import Image

        pictures = torch.stack([self._transform(Image.open(io.BytesIO(event.value))) for event in events])
        with torch.inference_mode():
            return np.asarray(self._model.encode_image(pictures, normalize=True).numpy())


class Meter:
    """Watches a counter from a thread of its own; prints the figures and ends the process when all events are done."""

    def __init__(self, events: int, warm_up: int) -> None:
        self.done = 0
        self._events, self._warm_up = events, warm_up

    def start(self, done: Callable[[], float] | None = None) -> None:
        """Begin to watch; `done` gives how many events are done, in place of the attribute."""
        threading.Thread(target=self._watch, args=(done or (lambda: self.done),), daemon=True).start()

    def _watch(self, done: Callable[[], float]) -> None:
        began: tuple[float, float, float] | None = None
        while True:
            used = resource.getrusage(resource.RUSAGE_SELF)
            now = done(), used.ru_utime + used.ru_stime, time.perf_counter()
            if began is None or (began[0] < self._warm_up and now[0] < self._events):
                began = now
            if now[0] >= self._events:
                number, cpu_s, wall_s = (end - start for start, end in zip(began, now, strict=True))
                peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
                rss_mb = int(peak[1]) / 1024 if peak else 0.0
                print(
                    json.dumps({"cpu_us": cpu_s / number * 1e6, "events_per_s": number / wall_s, "rss_mb": rss_mb}),
                    flush=True,
                )
                os._exit(0)
            time.sleep(0.01)
