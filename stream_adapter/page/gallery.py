"""Anchors by class, as the page shows them: chosen from a view of the adapter, away from its thread."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.events.headers import format_time
from stream_adapter.page.pictures import Pictures
from stream_adapter.page.requests import View

LIMIT = 60


def classes_of(view: View) -> dict[str, Any]:
    """Every class with what it is taken for: JSON, most anchors first, then by name."""
    counts = np.bincount(view.anchors.classes, minlength=len(view.names))  # (C,)
    lines: list[dict[str, Any]] = [
        {
            "name": name,
            "anchors": int(counts[index]),
            "kind": view.kinds[index],
            "canary": name in view.canaries,
            "presence": round(float(view.presence[index]), 4),
            "damping": round(float(view.damping[index]), 4),
        }
        for index, name in enumerate(view.names)
    ]
    lines.sort(key=lambda line: (-line["anchors"], line["name"]))
    return {"adapter": view.version, "digest": view.digest, "anchors": len(view.anchors.ids), "classes": lines}


def anchors_of(view: View, pictures: Pictures, *, label: str | None, search: str, limit: int) -> dict[str, Any]:
    """The newest anchors of a class, or of all: JSON.

    Args:
        view: of the adapter.
        pictures: where there are thumbnails.
        label: only this class; None: all.
        search: only those whose id begins with it, whose event's id contains it, or whose annotator it is.
        limit: at most so many.
    """
    listing = view.anchors
    slots: NDArray[np.int64] = np.arange(len(listing.ids))
    if label is not None:
        slots = np.flatnonzero(listing.classes == _index(view.names, label))
    if search:
        slots = np.array([slot for slot in slots.tolist() if _matches(view, slot, search)], np.int64)
    found = len(slots)
    slots = slots[np.lexsort((-slots, -listing.times[slots]))][:limit]  # of one time the later slot, mostly the newer
    shown = slots.tolist()
    thumbnails = pictures.of(listing.ids[slot] for slot in shown)
    return {
        "found": found,
        "anchors": [
            {
                "id": listing.ids[slot],
                "label": view.names[int(listing.classes[slot])],
                "time": format_time(int(listing.times[slot])),
                "event": {"source": listing.origins[slot].event_source, "id": listing.origins[slot].event_id},
                "annotator": listing.origins[slot].annotator or None,
                "picture": thumbnails[listing.ids[slot]],
            }
            for slot in shown
        ],
    }


def _index(class_names: Sequence[str], label: str) -> int:
    return class_names.index(label) if label in class_names else -1


def _matches(view: View, slot: int, search: str) -> bool:
    origin = view.anchors.origins[slot]
    return view.anchors.ids[slot].startswith(search.lower()) or search in origin.event_id or search == origin.annotator
