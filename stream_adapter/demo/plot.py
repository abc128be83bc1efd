"""The demo's plot: accuracy over the stream, adapted beside zero-shot, labelled beside canary classes."""

from pathlib import Path

import numpy as np

from stream_adapter.demo.scoreboard import WINDOW, Scoreboard
from stream_adapter.evaluate.scores import windowed

_TITLES = {"labelled": "classes that get labels", "canary": "classes that are never taught"}


def save_plot(board: Scoreboard, shift_at: int | None, path: Path) -> None:
    """Draw the curves of both groups into a PNG file."""
    import matplotlib as mpl  # heavy, and needed at the very end only

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for axis, (group, score) in zip(axes, board.groups.items(), strict=True):
        # In the stream's order: partitions are read at their own pace.
        position, zero_shot, adapted = np.array(sorted(score.hits)).T  # (n,) each
        axis.plot(position, windowed(zero_shot, WINDOW), color="#888888", label="zero-shot (untouched CLIP)")
        axis.plot(position, windowed(adapted, WINDOW), color="#1f6f4a", label="adapted")
        if shift_at is not None:
            axis.axvline(shift_at, color="#bbbbbb", linestyle=":")
            axis.text(shift_at, 0.02, " the style changes", color="#777777", transform=axis.get_xaxis_transform())
        axis.set_title(_TITLES[group])
        axis.set_xlabel("events")
        axis.grid(alpha=0.2)
    axes[0].set_ylabel(f"accuracy over the newest {WINDOW} events")
    axes[0].set_ylim(0, 1.02)
    axes[0].legend(loc="lower left")
    figure.savefig(path, dpi=120)
    plt.close(figure)
