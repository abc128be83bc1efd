"""Makes `stream_adapter/demo/groceries.npz`: pictures of the Grocery Store Dataset with their CLIP vectors.

    python -m training.groceries PICTURES FEATURES.npz TOWER.safetensors

PICTURES holds PRODUCT/*.jpg, FEATURES.npz labels and text vectors (as `evaluate` reads them, with the products as
`label_names`), TOWER the image tower of OpenAI's ViT-B/16. Vectors are made of the pictures as they are; what is kept
of these is smaller. The first 42 are the demo's opening: among 200 orders the one in which a label shows most.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.config import AdapterConfig, EncoderConfig
from stream_adapter.demo.groceries import AFTER, OPENING, WRONG
from stream_adapter.encode.loading import load_encoder

OUTPUT = Path(__file__).parents[1] / "stream_adapter/demo/groceries.npz"
CANARIES = ("apple", "banana", "carrot", "orange")
_SIDE, _QUALITY = 112, 75


def main(pictures: Path, features: Path, tower: Path) -> None:
    """Embed, choose the opening, and write."""
    given = np.load(features)
    names, texts = given["class_names"].tolist(), given["text_vectors"].astype(np.float32)
    classes = dict(zip(given["label_names"].tolist(), given["labels"].tolist(), strict=True))
    paths = [path for path in sorted(pictures.glob("*/*.jpg")) if classes[path.parent.name] >= 0]
    labels = np.array([classes[path.parent.name] for path in paths])
    encoder = load_encoder(EncoderConfig(model="ViT-B-16-quickgelu", pretrained_image=tower))
    prepared = [encoder.prepare(path.read_bytes(), "image/jpeg") for path in paths]
    vectors = np.concatenate([encoder.encode(prepared[at : at + 32]) for at in range(0, len(paths), 32)])
    zero_shot = (vectors @ texts.T).argmax(axis=1)
    vegetable = names.index("vegetable")
    wrong = np.flatnonzero((labels == vegetable) & (zero_shot != vegetable))
    best, order, found = -1.0, np.arange(len(paths)), []
    for seed in range(200):
        random = np.random.default_rng(seed)
        others = random.permutation(np.setdiff1d(np.arange(len(paths)), wrong))
        taken = random.permutation(wrong)
        opening = np.concatenate([others[:OPENING], taken[:WRONG]])
        adapter = Adapter(texts, names, 100.0, AdapterConfig(canaries=CANARIES))
        adapter.update([str(row) for row in opening[:OPENING]], vectors[opening[:OPENING]])
        before = (adapter.predict(vectors[taken[:WRONG]]).adapted.argmax(axis=1) == vegetable).mean()
        label = Anchor("label", vectors[opening[-1]], "vegetable", event_time_ms=0)
        adapter.update([str(row) for row in opening[OPENING:]], vectors[opening[OPENING:]], [label])
        right = adapter.predict(vectors[taken[WRONG:]]).adapted.argmax(axis=1) == vegetable
        found.append((before, right.mean()))
        if (score := right[:AFTER].mean() - 2 * before) > best:
            rest = random.permutation(np.concatenate([others[OPENING:], taken[WRONG + AFTER :]]))
            best, order = score, np.concatenate([opening, taken[WRONG : WRONG + AFTER], rest])
    means = np.array(found).mean(axis=0)
    print(f"vegetables that zero-shot gets wrong: {means[0]:.0%} right before a label, {means[1]:.0%} after one")  # noqa: T201
    jpegs = [_small(paths[row]) for row in order]
    np.savez_compressed(
        OUTPUT,
        jpegs=np.frombuffer(b"".join(jpegs), np.uint8),
        lengths=np.array([len(jpeg) for jpeg in jpegs]),
        vectors=vectors[order].astype(np.float16),
        labels=labels[order],
        products=np.array([paths[row].parent.name for row in order]),
        class_names=np.array(names),
        text_vectors=texts.astype(np.float16),
    )
    print(f"{len(order)} pictures, {OUTPUT.stat().st_size / 1e6:.1f} MB")  # noqa: T201


def _small(path: Path) -> bytes:
    image = Image.open(path).convert("RGB")
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
