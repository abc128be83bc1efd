"""Draws what one label does in the demo's opening: `python -m tests.demo.one_label docs/images/one-label.png`."""

import io
import sys

import matplotlib as mpl
import numpy as np
from PIL import Image

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.config import AdapterConfig
from stream_adapter.demo.groceries import AFTER, OPENING, WRONG, groceries

mpl.use("Agg")
from matplotlib import pyplot as plt

RIGHT, WRONG_COLOUR = "#1f6f4a", "#b3261e"


def main(output: str) -> None:
    """Ask before and after the label, and draw both answers under each picture."""
    shop, label = groceries(), OPENING + WRONG - 1
    adapter = Adapter(shop.text_vectors, shop.class_names, 100.0, AdapterConfig(canaries=("apple", "orange")))
    rows = list(range(label + 1, label + 1 + AFTER))
    adapter.update([str(row) for row in range(OPENING)], shop.vectors[:OPENING])
    anchor = Anchor("label", shop.vectors[label], "vegetable", event_time_ms=0)
    adapter.update([str(row) for row in range(OPENING, label + 1)], shop.vectors[OPENING : label + 1], [anchor])
    said = adapter.predict(shop.vectors[rows])
    answers = [[shop.class_names[best] for best in p.argmax(axis=1)] for p in (said.zero_shot, said.adapted)]
    right = [sum(map(str.__eq__, names, (shop.labels[row] for row in rows))) for names in answers]
    figure, axes = plt.subplots(2, 7, figsize=(11, 4.4))
    for axis in axes.flat:
        axis.axis("off")
    places = [axes[row, column] for row in range(2) for column in range(1, 7)]
    show(axes[0, 0], shop.jpegs[label])
    axes[0, 0].set_title("labelled once", fontsize=10, fontweight="bold")
    axes[0, 0].text(0.5, -0.12, "“vegetable”", ha="center", va="top", transform=axes[0, 0].transAxes, color=RIGHT)
    axes[1, 0].text(0.5, 0.62, f"CLIP alone\n{right[0]} of {AFTER} right", ha="center", va="center", color=WRONG_COLOUR)
    axes[1, 0].text(0.5, 0.25, f"after one label\n{right[1]} of {AFTER} right", ha="center", va="center", color=RIGHT)
    for axis, row, before, after in zip(places, rows, *answers, strict=True):
        show(axis, shop.jpegs[row])
        colours = (WRONG_COLOUR if name != shop.labels[row] else RIGHT for name in (before, after))
        for height, name, colour in zip((-0.06, -0.2), (before, after), colours, strict=True):
            axis.text(0.5, height, name, ha="center", va="top", fontsize=9, transform=axis.transAxes, color=colour)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.93, bottom=0.1, hspace=0.42, wspace=0.08)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    image = Image.open(buffer).convert("RGB").quantize(192, dither=Image.Dither.NONE)
    image.save(output, "PNG", optimize=True)


def show(axis: plt.Axes, jpeg: bytes) -> None:
    """A picture, cut to a square."""
    image = np.asarray(Image.open(io.BytesIO(jpeg)))
    side = min(image.shape[:2])
    top, left = ((size - side) // 2 for size in image.shape[:2])
    axis.imshow(image[top : top + side, left : left + side])


if __name__ == "__main__":
    main(sys.argv[1])
