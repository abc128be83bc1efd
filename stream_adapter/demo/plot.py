"""The demo's plot: accuracy over the stream, adapted beside zero-shot, labelled beside canary classes."""

from pathlib import Path

from stream_adapter.demo.scoreboard import Scoreboard

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
        positions = [point[0] for point in score.curve]
        axis.plot(positions, [point[1] for point in score.curve], color="#888888", label="zero-shot (untouched CLIP)")
        axis.plot(positions, [point[2] for point in score.curve], color="#1f6f4a", label="adapted")
        axis.axvline(shift_at, color="#bbbbbb", linestyle=":")
        axis.text(shift_at, 0.02, " the style changes", color="#777777", transform=axis.get_xaxis_transform())
        axis.set_title(_TITLES[group])
        axis.set_xlabel("events")
        axis.grid(alpha=0.2)
    axes[0].set_ylabel("accuracy over the newest 200 events")
    axes[0].set_ylim(0, 1.02)
    axes[0].legend(loc="lower left")
    figure.savefig(path, dpi=120)
    plt.close(figure)
