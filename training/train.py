"""Trains the small CLIP on pictures it draws itself: ``python -m training.train --output DIR``.

Every picture is drawn for the batch it is in and never seen again. The loss is CLIP's symmetric contrastive one, with
one change: with so few words, captions of other pictures in the batch are often true of this one too; those pairs are
left out of the comparison instead of being pushed apart.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import open_clip
import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from stream_adapter.demo.pictures import draw
from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, PREPROCESSING, WEIGHTS
from training.scenes import TRAINED_STYLES, caption, caption_codes, random_scene, scene_codes
from training.zero_shot import Tokenizer, figures, load, pixels_of, to_input

MAX_LOGIT_SCALE: Final = 100.0  # CLIP's own limit
EVALUATION_SEED: Final = 1_000_003  # far from the seeds of training

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a training run depends on."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: int
    seed: int
    workers: int


class DrawnBatches(IterableDataset[Batch]):
    """Endless batches of new pictures with one caption each; never a held-out pair of colour and shape.

    A batch is the pixels, uint8 (batch, height, width, 3), the caption tokens (batch, context), and which captions are
    true of which pictures, bool (batch, batch), pictures down and captions across.
    """

    def __init__(self, tokenizer: Tokenizer, batch_size: int, seed: int) -> None:
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._seed = seed

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = np.random.default_rng([self._seed, worker.id if worker else 0])
        while True:
            scenes = [random_scene(rng) for _ in range(self._batch_size)]
            captions = [caption(scene, rng) for scene in scenes]
            styles = [TRAINED_STYLES[i] for i in rng.integers(len(TRAINED_STYLES), size=self._batch_size)]
            pictures = [draw(scene, style, rng) for scene, style in zip(scenes, styles, strict=True)]
            shown = torch.tensor([scene_codes(scene) for scene in scenes])  # (batch, fields)
            said = torch.tensor([caption_codes(text) for text in captions])  # (batch, fields)
            yield pixels_of(pictures), self._tokenizer(captions), is_true(shown, said)


def is_true(shown: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
    """Which captions are true of which pictures: a caption is if everything that it mentions is shown.

    Args:
        shown: The pictures' words as integers, (pictures, fields).
        said: The captions' words as integers, (captions, fields), −1 where a field is not mentioned.

    Returns:
        bool, (pictures, captions).
    """
    return ((said[None] == shown[:, None]) | (said[None] == -1)).all(dim=-1)  # over (pictures, captions, fields)


def contrastive_loss(
    images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, true: torch.Tensor
) -> torch.Tensor:
    """Symmetric cross-entropy of every picture finding its own caption, and the other way round.

    Args:
        images: Unit vectors, (batch, dimensions).
        texts: Unit vectors of their captions, (batch, dimensions).
        scale: The factor from cosines to logits.
        true: Which captions are true of which pictures, bool (batch, batch). Another picture's caption that happens to
            be true is no mistake: it takes no part.
    """
    own = torch.arange(len(images))
    logits = scale * images @ texts.T  # (pictures, captions)
    others = true & ~torch.eye(len(images), dtype=torch.bool)
    logits = logits.masked_fill(others, -math.inf)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def save_weights(model: torch.nn.Module, path: Path, seen: torch.Tensor) -> None:
    """Writes the weights in half precision.

    Args:
        model: An open_clip CLIP.
        path: Where to; a ``.safetensors`` file.
        seen: Which tokens training met, bool (vocabulary). The rows of the others are still the random numbers of the
            start. Zeros are honest about that, let an unknown word pass through a prompt without adding noise, and
            compress to nothing.
    """
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    state["token_embedding.weight"] = state["token_embedding.weight"] * seen[:, None]
    save_file(state, path)


def train(settings: Settings, weights: Path, checkpoint_every: int, console: Console) -> dict[str, float]:
    """Trains from scratch and writes the weights, every ``checkpoint_every`` steps and at the end.

    Returns:
        The last loss (running mean) and how long it took.
    """
    torch.manual_seed(settings.seed)
    open_clip.add_model_config(CONFIG)
    model = open_clip.create_model(MODEL_NAME).to(memory_format=torch.channels_last).train()
    tokenizer = open_clip.get_tokenizer(MODEL_NAME)
    optimizer = torch.optim.AdamW(_groups(model, settings.weight_decay), lr=settings.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, settings))
    batches = DataLoader(
        DrawnBatches(tokenizer, settings.batch_size, settings.seed),
        batch_size=None,
        num_workers=settings.workers,
    )
    seen = torch.zeros(model.vocab_size, dtype=torch.bool)
    running, start = math.nan, time.perf_counter()
    columns = (TextColumn("loss {task.fields[loss]:.3f}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=settings.steps, loss=math.nan)
        for step, (pixels, tokens, true) in zip(range(1, settings.steps + 1), batches, strict=False):
            seen[tokens.unique()] = True
            images = model.encode_image(to_input(pixels), normalize=True)  # (batch, dimensions)
            texts = model.encode_text(tokens, normalize=True)  # (batch, dimensions)
            loss = contrastive_loss(images, texts, model.logit_scale.exp(), true)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))
            running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
            progress.update(task, advance=1, loss=running)
            if step % checkpoint_every == 0:
                save_weights(model, weights, seen)
                scale = model.logit_scale.exp().item()
                elapsed = time.perf_counter() - start
                console.print(f"step {step}: loss {running:.3f}, logit scale {scale:.1f}, {elapsed:.0f} s")
    save_weights(model, weights, seen)
    return {"loss": running, "seconds": time.perf_counter() - start}


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only; not for the token table, most rows of which have no gradient."""
    decayed: list[torch.nn.Parameter] = []
    free: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (decayed if parameter.ndim > 1 and "embedding" not in name else free).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def _pace(step: int, settings: Settings) -> float:
    """The learning rate's factor: a linear warm-up, then half a cosine down to zero."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    return 0.5 + 0.5 * math.cos(math.pi * (step - settings.warmup) / max(1, settings.steps - settings.warmup))


def main(
    output: Annotated[Path, typer.Option(help="Folder for the weights and training.json.")],
    steps: Annotated[int, typer.Option(min=1, help="Batches to train on.")] = 4000,
    batch_size: Annotated[int, typer.Option(min=2, help="Pictures in a batch.")] = 128,
    learning_rate: Annotated[float, typer.Option(help="Peak of the cosine schedule.")] = 2e-3,
    weight_decay: Annotated[float, typer.Option(help="AdamW's, on matrices and kernels.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Seeds the weights and the pictures.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw; 0 draws between steps.")] = 1,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between two writings.")] = 200,
    eval_pictures: Annotated[int, typer.Option(min=1, help="Pictures behind every measured figure.")] = 2000,
) -> None:
    """Trains the small CLIP, measures what was written to disk, and records both in training.json."""
    console = Console()
    warmup = min(200, steps // 10)
    settings = Settings(steps, batch_size, learning_rate, weight_decay, warmup, seed, workers)
    output.mkdir(parents=True, exist_ok=True)
    weights = output / WEIGHTS.name
    (output / PREPROCESSING.name).write_bytes(PREPROCESSING.read_bytes())
    outcome = train(settings, weights, checkpoint_every, console)
    measured = figures(*load(weights), count=eval_pictures, seed=EVALUATION_SEED)
    for name, value in measured.items():
        console.print(f"{name}: {value:.1%}")
    record = {
        "settings": asdict(settings),
        "torch": torch.__version__,
        "open_clip": open_clip.__version__,
        "threads": torch.get_num_threads(),
        "loss": round(outcome["loss"], 4),
        "seconds": round(outcome["seconds"]),
        "eval_pictures": eval_pictures,
        "zero_shot_accuracy": {name: round(value, 4) for name, value in measured.items()},
    }
    (output / "training.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
