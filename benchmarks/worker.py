"""How close the whole worker comes to decoding and encoding alone: pictures a second, and where the time goes.

    python benchmarks/worker.py [--pictures 96] [--batch 32] [--rounds 3] [--model vit-b-16 | small] [--json FILE]

Both run in this process on the same pictures at the same batch size and with as many threads, floor, worker, floor, so
that a machine whose speed drifts shows itself. The floor decodes in the pool, one batch ahead of the encoder. The
worker reads a folder, decodes, encodes, predicts, learns from every third picture and writes JSONL: the whole journey
but for the broker.
"""

import argparse
import csv
import io
import json
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from stream_adapter.cores import share_cores

share_cores()  # as `stream-adapter run` does, before what it is about is loaded
# ruff: noqa: E402
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import stream_adapter
from stream_adapter.config import Config, parse
from stream_adapter.encode.loading import load_encoder
from stream_adapter.encode.threads import with_threads
from stream_adapter.metrics import STAGES
from stream_adapter.service.build import open_worker
from stream_adapter.service.logs import configure_logs

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("STREAM_ADAPTER_DATA", ROOT.parent / "shared" / "data"))
MODEL = Path(stream_adapter.__file__).parent / "demo" / "model"


def configuration(model: str, folder: Path, batch: int) -> Config:
    """A worker on files with one of the two models."""
    if model == "vit-b-16":
        encoder = f"""
  model: ViT-B-16-quickgelu
  pretrained_image: {DATA}/clip_vitb16_image_tower_fp16.safetensors"""
        vocabulary = f"vectors: {DATA}/vocabulary_clip_vitb16.npz"
    else:
        encoder = f"""
  model: small-clip
  model_config_file: {MODEL}/small-clip.json
  pretrained: {MODEL}/small-clip.safetensors"""
        vocabulary = "classes: [dog, elephant, giraffe, horse, house, person]"
    return parse(f"""
transport: files
encoder: {encoder}
vocabulary:
  {vocabulary}
files: {{input: {folder}/manifest.csv, output: {folder}/results}}
batch: {{max_batch: {batch}, max_wait_ms: 1000}}
service: {{http: false}}
""")


def write_pictures(number: int, folder: Path) -> list[bytes]:
    """Real photographs where the data is there, drawn noise of the same size elsewhere; every third is labelled."""
    files = sorted(path for path in (DATA / "pacs_images").glob("*/*/*.jpg") if path.parent.name != "guitar")
    pictures = [file.read_bytes() for file in files]
    labels = [file.parent.name for file in files]
    rng = np.random.default_rng(0)
    while len(pictures) < 20:
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (227, 227, 3), dtype=np.uint8)).save(buffer, "JPEG")
        pictures.append(buffer.getvalue())
        labels.append("dog")
    order = [int(index) for index in rng.permutation(len(pictures))]
    chosen = [order[position % len(order)] for position in range(number)]
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "id", "label"])
        for position, index in enumerate(chosen):
            (folder / f"{position:05d}.jpg").write_bytes(pictures[index])
            rows.writerow([f"{position:05d}.jpg", position, labels[index] if position % 3 == 0 else ""])
    return [pictures[index] for index in chosen]


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the median rates here")
    parser.add_argument("--model", choices=["vit-b-16", "small"], default="vit-b-16" if DATA.exists() else "small")
    arguments = parser.parse_args()
    configure_logs("warning", "human")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = write_pictures(arguments.pictures, folder)
        config = configuration(arguments.model, folder, arguments.batch)
        encoder = with_threads(load_encoder(config.encoder), None, config.encoder.device)
        batches = [pictures[start : start + arguments.batch] for start in range(0, len(pictures), arguments.batch)]
        encoder.encode([encoder.prepare(data, "image/jpeg") for data in batches[0]])

        def floor() -> float:
            started = time.perf_counter()
            with ThreadPoolExecutor(config.encoder.decode_threads) as pool:
                ahead = [pool.submit(encoder.prepare, data, "image/jpeg") for data in batches[0]]
                for following in [*batches[1:], []]:
                    decoding, ahead = ahead, [pool.submit(encoder.prepare, data, "image/jpeg") for data in following]
                    encoder.encode([picture.result() for picture in decoding])
            return len(pictures) / (time.perf_counter() - started)

        def whole_worker() -> tuple[float, dict[str, float]]:
            shutil.rmtree(folder / "results", ignore_errors=True)
            with open_worker(config) as worker:
                worker.restore()
                started = time.perf_counter()
                worker.run()
                seconds = time.perf_counter() - started
                registry = worker.metrics.registry
                stages = {"all": seconds} | {
                    stage: registry.get_sample_value("stream_adapter_stage_seconds_sum", {"stage": stage}) or 0.0
                    for stage in STAGES
                }
            return len(pictures) / seconds, stages

        floors = [floor()]
        runs = []
        for _ in range(arguments.rounds):
            runs.append(whole_worker())
            floors.append(floor())

    table = Table(title=f"{arguments.model}, batch {arguments.batch}, {len(pictures)} pictures a run")
    for column in ("", "pictures/s", "of the floor before and after", "share of the time in the encoder"):
        table.add_column(column, justify="right" if column else "left")
    for position, alone in enumerate(floors):
        table.add_row("decode and encode alone", f"{alone:.2f}", "", "")
        if position < len(runs):
            rate, stages = runs[position]
            around = (alone + floors[position + 1]) / 2
            busy = stages["encode"] / stages["all"]
            table.add_row("whole worker", f"{rate:.2f}", f"{rate / around:.1%}", f"{busy:.1%}")
    ratio = median(rate for rate, _ in runs) / median(floors)
    table.add_row("median, worker to floor", "", f"{ratio:.1%}", "")
    Console().print(table)
    if arguments.json:
        figures = {"floor": median(floors), "worker": median(rate for rate, _ in runs), "ratio": ratio}
        arguments.json.write_text(json.dumps(figures))
    shares = Table(title="Seconds by stage in the last run of the worker")
    for column in ("stage", "seconds"):
        shares.add_column(column)
    for stage, seconds in runs[-1][1].items():
        shares.add_row(stage, f"{seconds:.2f}")
    Console().print(shares)


if __name__ == "__main__":
    main()
