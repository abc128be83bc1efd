"""What a GPU makes of the path from JPEGs to answers, in under ten minutes: one script, one JSON.

    python benchmarks/gpu.py [--device cuda] [--minutes 9] [--pictures 8192] [--json FILE]

ViT-B/32 with random weights, which costs what trained ones do, on pictures of 224 pixels. The encoder's own rate, with
pixels that are on the device already, is what all else is held against: ours from the host's memory, decoding on so
many threads or on the device, both together, and the whole worker over a folder; and where exact search on the device
is faster than a graph on the processor, and what the learner takes on either. Sections that the time does not suffice
for are left out and named. With `--device cpu --pictures 16` it shows on any machine that it runs.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import open_clip
import torch
from adapter import Stream, filled
from encode import in_pool, pictures
from safetensors.torch import save_file
from torchvision.io import decode_jpeg

from stream_adapter.adapter.learner import Labels, LearnerContext
from stream_adapter.adapter.mixture.mixture import Mixture
from stream_adapter.config import EncoderConfig, MixtureConfig, parse
from stream_adapter.encode.clip import ClipEncoder
from stream_adapter.encode.loading import load_encoder
from stream_adapter.service.build import open_worker
from stream_adapter.service.logs import configure_logs

MODEL = "ViT-B-32"
BATCHES = (64, 256, 512)
ROUNDS = 5
SIDE = 224
THREADS = os.cpu_count() or 1
SEARCHED = (10_000, 30_000, 100_000, 1_000_000)
_GRAPHS_UP_TO = 30_000
_K = 16
Figures = dict[str, Any]


class Gpu:
    """The encoder, pictures for it, and the sections.

    Args:
        folder: for the model and the worker's files.
        device: as `encoder.device` names it.
        number: of pictures.
    """

    def __init__(self, folder: Path, device: str, number: int) -> None:
        self._folder, self._number = folder, number
        self._tower = folder / "tower.safetensors"
        save_file(open_clip.create_model(MODEL).visual.state_dict(), self._tower)
        encoder = load_encoder(EncoderConfig(model=MODEL, pretrained_image=self._tower, device=device))
        assert isinstance(encoder, ClipEncoder)
        self._encoder, self._device = encoder, torch.device(encoder._device)
        self._files = pictures(SIDE, SIDE, min(number, 256))
        self._batches = tuple(batch for batch in BATCHES if batch <= number) or (number,)
        self.facts: Figures = {"device": str(self._device), "precision": encoder.precision, "threads": THREADS}
        if self._device.type == "cuda":
            self.facts["name"] = torch.cuda.get_device_name(self._device)

    def sections(self) -> Iterator[tuple[str, Callable[[], Figures]]]:
        """What there is to measure, the most important first."""
        yield "encoder, pictures/s", self.encoding
        yield "decoding, pictures/s", self.decoding
        yield "worker, pictures/s", self.worker
        yield "search, µs a query", self.searching
        yield "learner, µs an event", self.learning

    @torch.inference_mode()
    def encoding(self) -> Figures:
        """By batch: on the device, compiled, with weights in half precision, and ours from the host."""
        found: Figures = {}
        visual, dtype = self._encoder._visual, self._encoder._dtype
        halved = (
            open_clip.create_model(MODEL).visual.eval().to(self._device, dtype).to(memory_format=torch.channels_last)
        )
        kinds: dict[str, Callable[[torch.Tensor], Any]] = {"on_the_device": visual, "half_weights": halved}
        if self._device.type == "cuda":
            kinds["compiled"] = torch.compile(halved, mode="max-autotune-no-cudagraphs")
        for batch in self._batches:
            pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, SIDE, SIDE), dtype=np.uint8)
            there = torch.from_numpy(pixels).to(self._device, torch.float32).to(memory_format=torch.channels_last)
            work: dict[str, Callable[[], Any]] = {"ours": partial(self._encoder.encode, list(pixels))}
            for name, tower in kinds.items():
                one = there if name == "on_the_device" else there.to(dtype)
                work[name] = partial(self._run, tower, one, dtype)
            found[str(batch)] = {name: batch / seconds for name, seconds in self._seconds(work).items()}
        self._own = max(one["on_the_device"] for one in found.values())
        return found

    def decoding(self) -> Figures:
        """On one thread, on all, and on the device; and decoding and encoding after each other, one batch ahead."""
        batch = self._batches[-1]
        files = [self._files[position % len(self._files)] for position in range(batch)]
        found: Figures = {}
        for threads in sorted({1, 2, THREADS // 2 or 1, THREADS}):
            with ThreadPoolExecutor(threads) as pool:
                seconds = self._seconds({"": partial(in_pool, pool, self._encoder._decoder, files)})
            found[f"{threads} threads"] = batch / seconds[""]
        if self._device.type == "cuda":
            raw = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files]
            found["nvJPEG"] = batch / self._seconds({"": lambda: decode_jpeg(raw, device=self._device)})[""]
        with ThreadPoolExecutor(THREADS) as pool:
            started = time.perf_counter()
            ahead = [pool.submit(self._encoder.prepare, data, "image/jpeg") for data in files]
            rounds = max(2, self._number // batch)
            for _ in range(rounds):
                ready, ahead = ahead, [pool.submit(self._encoder.prepare, data, "image/jpeg") for data in files]
                self._encoder.encode([one.result() for one in ready])
            found["with the encoder"] = rounds * batch / (time.perf_counter() - started)
        return found | {"share of the encoder's own": found["with the encoder"] / self._own}

    def worker(self) -> Figures:
        """The whole worker over files, a third of them labelled."""
        names = [f"class {number}" for number in range(171)]
        texts = np.random.default_rng(0).normal(size=(len(names), self._encoder.d)).astype(np.float32)
        texts /= np.linalg.norm(texts, axis=1, keepdims=True)
        vocabulary: dict[str, Any] = {
            "class_names": np.array(names),
            "text_vectors": texts,
            "fingerprint": self._encoder.fingerprint,
        }
        np.savez(self._folder / "classes.npz", **vocabulary)
        rows = ["path,id,label"]
        for position, data in enumerate(self._files):
            (self._folder / f"{position}.jpg").write_bytes(data)
        for position in range(self._number):
            label = names[position % 171] if position % 3 == 0 else ""
            rows.append(f"{position % len(self._files)}.jpg,{position},{label}")
        (self._folder / "manifest.csv").write_text("\n".join(rows))
        config = parse(f"""
transport: files
encoder:
  model: {MODEL}
  pretrained_image: {self._tower}
  device: {self._device}
  decode_threads: {THREADS}
vocabulary: {{vectors: {self._folder}/classes.npz}}
files: {{input: {self._folder}/manifest.csv, output: {self._folder}/results}}
service: {{http: false}}
""")
        rates = []
        for _ in range(3):
            shutil.rmtree(self._folder / "results", ignore_errors=True)
            with open_worker(config) as worker:
                worker.restore()
                started = time.perf_counter()
                worker.run()
                rates.append(self._number / (time.perf_counter() - started))
        return {"rates": rates, "share of the encoder's own": median(rates) / self._own}

    def searching(self) -> Figures:
        """The nearest of so many anchors: exactly on the device, and by the graph on the processor."""
        found: Figures = {}
        rng, batch = np.random.default_rng(0), 256
        for number in SEARCHED if self._device.type == "cuda" else SEARCHED[:1]:
            anchors = torch.nn.functional.normalize(torch.randn(number, 512, device=self._device), dim=1)
            asked = rng.normal(size=(batch, 512)).astype(np.float32)
            work: dict[str, Callable[[], Any]] = {"device": partial(self._nearest, anchors, asked)}
            if number <= _GRAPHS_UP_TO:
                graph = filled(Stream(171), number, "hnsw", 2 * number)
                unit = asked / np.linalg.norm(asked, axis=1, keepdims=True)
                work["graph"] = partial(graph.nearest, unit, _K)
            found[str(number)] = {name: 1e6 * seconds / batch for name, seconds in self._seconds(work).items()}
        return found

    def learning(self) -> Figures:
        """Predicting and learning batches of 512 at 10,000 anchors and 171 classes, on either."""
        work: dict[str, Callable[[], Any]] = {}
        for device in dict.fromkeys(("numpy", str(self._device))):
            stream = Stream(171)
            anchors = filled(stream, 10_000, "exact", 20_000)
            context = LearnerContext(clock=time.monotonic, device=device)
            learner = Mixture(stream.classes, anchors, MixtureConfig(), context)
            work[device] = partial(self._learn, stream, learner)
        return {name: 1e6 * seconds / 512 for name, seconds in self._seconds(work).items()}

    def _run(self, tower: Callable[[torch.Tensor], Any], pixels: torch.Tensor, dtype: torch.dtype) -> None:
        with torch.autocast(self._device.type, dtype, enabled=pixels.dtype != dtype):
            tower(pixels)

    def _nearest(self, anchors: torch.Tensor, asked: Any) -> Any:
        return torch.topk(torch.from_numpy(asked).to(self._device) @ anchors.T, _K, dim=1).indices.cpu()

    def _learn(self, stream: Stream, learner: Mixture) -> None:
        events, _ = stream.events(512)
        learner.predict(events.vectors)
        learner.update(events, Labels.none(512))

    def _seconds(self, work: dict[str, Callable[[], Any]]) -> dict[str, float]:
        """Medians, in turn, after a round that does not count; the device is waited for."""
        seconds: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(ROUNDS + 1):
            for name, run in work.items():
                started = time.perf_counter()
                run()
                if self._device.type == "cuda":
                    torch.cuda.synchronize(self._device)
                seconds[name].append(time.perf_counter() - started)
        return {name: median(of[1:]) for name, of in seconds.items()}


def main() -> None:
    """Measure, and print a line of JSON a section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no further section begins")
    parser.add_argument("--pictures", type=int, default=8_192)
    parser.add_argument("--json", type=Path, help="write all figures here, after each section")
    arguments = parser.parse_args()
    configure_logs("warning", "human")
    ending_s = time.monotonic() + 60.0 * arguments.minutes
    with tempfile.TemporaryDirectory() as folder:
        gpu = Gpu(Path(folder), arguments.device, arguments.pictures)
        figures = dict(gpu.facts)
        for name, section in gpu.sections():
            figures[name] = section() if time.monotonic() < ending_s else "left out: no time"
            print(json.dumps({name: figures[name]}), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
