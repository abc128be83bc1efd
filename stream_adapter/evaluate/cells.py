"""The streams of `evaluate no-harm`: what can happen to classes that nobody labels, each a cell of its table."""

from typing import Any

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.cameras import CameraSettings
from stream_adapter.evaluate.features import Features
from stream_adapter.evaluate.stream import StreamSettings

CELLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rare": {"canary_rate": 0.1},
    "ultra-rare": {"canary_rate": 0.03},
    "burst": {"canaries_after": 0.5},
    "late": {"delay": 500},
    "look-alike": {"look_alike": True},
    "recorded": {"order": "recorded"},
    "cameras": {"sources": 5, "copies": 40},
    "no label": {"label_rate": 0.0},
    "first label": {"canary_rate": 0.1, "canary_labels": 1},
    "few labels": {"label_rate": 0.05},
    "all labelled": {"label_rate": 1.0},
    "least confident": {"select": "least-confident"},
    "most confident": {"select": "most-confident"},
    "wrong": {"label_noise": 0.1},
}


def settings_of(features: Features, cell: str) -> StreamSettings | CameraSettings:
    """The stream of one cell.

    Data with several domains come domain after domain, 1,200 events each (burst: 2,500 events, shuffled; recorded: as
    they are in the file); others come whole and shuffled. The cameras are of seven classes in ten.
    """
    if cell not in CELLS:
        raise EvaluationError(f"unknown cell {cell!r}; known are {', '.join(CELLS)}")
    chosen, domains = CELLS[cell], len(features.domain_names)
    if cell == "cameras":
        return CameraSettings(camera_classes=max(round(0.7 * len(features.occurring)), 1), **chosen)
    if domains == 1 or cell == "recorded":
        return StreamSettings(events=len(features), **chosen)
    if cell == "burst":
        return StreamSettings(events=2_500, **chosen)
    return StreamSettings(events=1_200 * domains, order="by-domain", **chosen)
