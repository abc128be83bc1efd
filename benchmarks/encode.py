"""The encoder's floor: pictures a second decoded and embedded, and what each choice in `encode/` is worth.

    python benchmarks/encode.py [--rounds 3] [--batches 1 8 16 32 64]

Ratios are between figures of one run: on a shared machine the absolute ones drift. Both sides of a ratio are measured
in turn, round by round, and the best round of each counts. The tower is the shared ViT-B/16 where it is there, else
the same architecture with random weights, which costs the same.
"""

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torchvision.transforms import Compose

from stream_adapter.config import EncoderConfig
from stream_adapter.encode.clip import ClipEncoder
from stream_adapter.encode.images import ImageDecoder
from stream_adapter.encode.loading import load_encoder

DATA = Path(os.environ.get("STREAM_ADAPTER_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODEL = "ViT-B-16-quickgelu"
_EMULATED_UP_TO = 1  # a larger batch in bfloat16 takes minutes where the processor has no instructions for it
SIZES = {"227 × 227": (227, 227), "640 × 480": (640, 480), "1920 × 1080": (1920, 1080), "4000 × 3000": (4000, 3000)}


def best(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each kind of work, the best of `rounds`, run in turn so that a drifting machine is fair to all."""
    seconds = dict.fromkeys(work, float("inf"))
    for run in work.values():
        run()
    for _ in range(rounds):
        for name, run in work.items():
            started = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return seconds


def pictures(width: int, height: int, number: int) -> list[bytes]:
    """JPEGs of this size, made from photographs where the data is there, else from soft noise."""
    files = sorted((DATA / "pacs_images").glob("photo/*/*.jpg"))
    rng = np.random.default_rng(width)
    encoded = []
    for index in range(number):
        image: Image.Image = Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8))
        if files:
            image = Image.open(files[index * 7 % len(files)])
        buffer = io.BytesIO()
        image.resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        encoded.append(buffer.getvalue())
    return encoded


def decoding(rounds: int) -> Table:
    """Ours against open_clip's transform on one thread, and ours in a pool of two.

    open_clip's is also shown without its last two stages, to tensor and normalise, which we do on the device.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the transform's own small torch operations lose by being split up
    decode = ImageDecoder(PreprocessCfg(), max_pixels=50_000_000, max_bytes=20_000_000)
    whole = image_transform_v2(PreprocessCfg(), is_train=False)
    to_pixels = Compose(whole.transforms[:-2])
    titles = ("JPEG", "ours, images/s", "open_clip to pixels", "open_clip whole", "ratios", "ours, 2 threads / 1")
    table = Table(*titles, title="Decode and resize")
    with ThreadPoolExecutor(2) as pool:
        for name, (width, height) in SIZES.items():
            files = pictures(width, height, 32 if width < 1000 else 8)
            work: dict[str, Callable[[], object]] = {
                "ours": partial(each, decode, files),
                "pixels": partial(each, partial(by_pillow, to_pixels), files),
                "whole": partial(each, partial(by_pillow, whole), files),
                "pool": partial(in_pool, pool, decode, files),
            }
            seconds = best(work, rounds)
            rate = {key: f"{len(files) / value:.0f}" for key, value in seconds.items()}
            ratios = f"{seconds['pixels'] / seconds['ours']:.1f}, {seconds['whole'] / seconds['ours']:.1f}"
            in_two = f"{seconds['ours'] / seconds['pool']:.1f}"
            table.add_row(name, rate["ours"], rate["pixels"], rate["whole"], ratios, in_two)
    torch.set_num_threads(threads)
    return table


def each(work: Callable[[bytes], object], files: list[bytes]) -> None:
    """Do all files on this thread."""
    for data in files:
        work(data)


def in_pool(pool: Executor, work: Callable[[bytes], object], files: list[bytes]) -> None:
    """Do all files in the pool."""
    for _ in pool.map(work, files):
        pass


def by_pillow(transform: Callable[[Image.Image], object], data: bytes) -> object:
    """The usual way to open_clip's transform."""
    return transform(Image.open(io.BytesIO(data)))


def encoder_config(folder: Path) -> EncoderConfig:
    """The shared tower, or one with random weights."""
    tower = DATA / "clip_vitb16_image_tower_fp16.safetensors"
    if not tower.exists():
        tower = folder / "random.safetensors"
        save_file(open_clip.create_model(MODEL).visual.state_dict(), tower)
    return EncoderConfig(model=MODEL, pretrained_image=tower)


def encoding(config: EncoderConfig, batches: list[int], rounds: int) -> Table:
    """Images a second of the tower by batch size, float32 against bfloat16."""
    encoders = {name: load_encoder(config.model_copy(update={"precision": name})) for name in ("float32", "bfloat16")}
    automatic = load_encoder(config)
    assert isinstance(automatic, ClipEncoder)
    chosen = automatic.precision
    title = f"Encode, {MODEL}, {torch.get_num_threads()} threads; `auto` chooses {chosen}"
    table = Table("batch", "float32, images/s", "bfloat16, images/s", "ratio", title=title)
    rng = np.random.default_rng(0)
    for batch in batches:
        pixels = list(rng.integers(0, 256, (batch, 3, 224, 224), dtype=np.uint8))
        work = {name: partial(encoder.encode, pixels) for name, encoder in encoders.items()}
        if chosen == "float32" and batch > _EMULATED_UP_TO:
            del work["bfloat16"]
        rates = {name: batch / seconds for name, seconds in best(work, rounds).items()}
        half, ratio = "–", "–"
        if "bfloat16" in rates:
            half, ratio = f"{rates['bfloat16']:.2f}", f"{rates['bfloat16'] / rates['float32']:.2f}"
        table.add_row(str(batch), f"{rates['float32']:.2f}", half, ratio)
    return table


def starting(config: EncoderConfig) -> str:
    """How long it takes until an encoder is there, fingerprint included."""
    started = time.perf_counter()
    encoder = load_encoder(config)
    return f"Load {config.model}, {encoder.d} dimensions, with its fingerprint: {time.perf_counter() - started:.1f} s"


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16, 32, 64])
    options = parser.parse_args()
    console = Console()
    console.print(decoding(options.rounds))
    with tempfile.TemporaryDirectory() as folder:
        config = encoder_config(Path(folder))
        console.print(starting(config))
        console.print(encoding(config, options.batches, options.rounds))


if __name__ == "__main__":
    main()
