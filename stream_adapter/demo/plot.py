"""The demo's plot: accuracy over the stream, adapted beside zero-shot, labelled beside canary classes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_adapter.demo.scoreboard import Scoreboard

_WINDOW = 200
_TITLES = {"labelled": "classes that get labels", "canary": "classes that are never taught"}


def save_plot(board: Scoreboard, shift_at: int, path: Path) -> None:
    """Draw the curves of both groups into a PNG file.

    Args:
        board: the scores.
        shift_at: position in the stream at which the pictures' style changes.
        path: where to write.
    """
    import matplotlib as mpl  # heavy, and needed at the very end only

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for axis, (group, score) in zip(axes, board.groups.items(), strict=True):
        # In the stream's order: partitions are read at their own pace.
        position, zero_shot, adapted = np.array(sorted(score.hits)).T  # (n,) each
        axis.plot(position, _rolling_mean(zero_shot), color="#888888", label="zero-shot (untouched CLIP)")
        axis.plot(position, _rolling_mean(adapted), color="#1f6f4a", label="adapted")
        axis.axvline(shift_at, color="#bbbbbb", linestyle=":")
        axis.text(shift_at, 0.02, " the style changes", color="#777777", transform=axis.get_xaxis_transform())
        axis.set_title(_TITLES[group])
        axis.set_xlabel("events")
        axis.grid(alpha=0.2)
    axes[0].set_ylabel(f"accuracy over the newest {_WINDOW} events")
    axes[0].set_ylim(0, 1.02)
    axes[0].legend(loc="lower left")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _rolling_mean(hits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over the newest `_WINDOW` values at each place (n,), over fewer at the beginning."""
    sums = np.concatenate([[0], np.cumsum(hits)])  # (n + 1,)
    end = np.arange(1, len(hits) + 1)
    start = np.maximum(0, end - _WINDOW)
    mean: NDArray[np.float64] = (sums[end] - sums[start]) / (end - start)
    return mean
