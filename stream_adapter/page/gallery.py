"""Anchors by class, as the page shows them: chosen from a view of the adapter, away from its thread."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.contradictions import contradictions
from stream_adapter.events.headers import format_time
from stream_adapter.page.pictures import Pictures
from stream_adapter.page.requests import View

LIMIT = 60
_ANNOTATORS = 20
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}")


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


def chosen(view: View, *, label: str | None, search: str) -> NDArray[np.int64]:
    """Int64, slots of the listing: the anchors that a filter leaves; arguments as for `anchors_of`."""
    slots: NDArray[np.int64] = np.arange(len(view.anchors.ids))
    if label is not None:
        slots = np.flatnonzero(view.anchors.classes == _index(view.names, label))
    if search:
        words = search.split()
        slots = np.array([slot for slot in slots.tolist() if _matches(view, slot, search, words)], np.int64)
    return slots


def anchors_of(
    view: View, pictures: Pictures, *, label: str | None, search: str, limit: int, suspicious: bool = False
) -> dict[str, Any]:
    """The newest anchors of a class, or of all: JSON.

    Args:
        view: of the adapter.
        pictures: where there are thumbnails.
        label: only this class; None: all.
        search: words that all must hold, or one annotator or source: an id's beginning, a part of the event's id, the
            annotator, the event's source, or the beginning of the label's time (`2026-11-28`, UTC).
        limit: at most so many.
        suspicious: only those that the other anchors contradict, most contradicted first; the view has vectors.
    """
    listing, slots = view.anchors, chosen(view, label=label, search=search)
    shares, others = np.zeros(len(listing.ids)), listing.classes
    order = np.lexsort((-slots, -listing.times[slots]))  # of one time the later slot, mostly the newer
    if suspicious:
        assert view.vectors is not None
        shares, others = contradictions(view.vectors, listing.classes)
        slots = slots[shares[slots] > 0.5]
        order = np.argsort(-shares[slots], kind="stable")
    found, shown = len(slots), slots[order][:limit].tolist()
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
            | (
                {"contradicted": round(float(shares[slot]), 3), "others": view.names[others[slot]]}
                if suspicious
                else {}
            )
            for slot in shown
        ],
        "annotators": _annotators(view, slots) if suspicious else [],
    }


def _annotators(view: View, slots: NDArray[np.int64]) -> list[dict[str, Any]]:
    """How many anchors each annotator has, and how many of them are in these slots; most of these first."""
    origins = view.anchors.origins
    anchors = Counter(origin.annotator for origin in origins)
    suspicious = Counter(origins[slot].annotator for slot in slots.tolist())
    return [
        {"annotator": name or None, "anchors": anchors[name], "suspicious": number}
        for name, number in suspicious.most_common(_ANNOTATORS)
    ]


def _index(class_names: Sequence[str], label: str) -> int:
    return class_names.index(label) if label in class_names else -1


def _matches(view: View, slot: int, search: str, words: Sequence[str]) -> bool:
    origin = view.anchors.origins[slot]
    named = (origin.annotator, origin.event_source)
    return search in named or all(
        word in named
        or word in origin.event_id
        or view.anchors.ids[slot].startswith(word.lower())
        or (_DATE.match(word) is not None and format_time(int(view.anchors.times[slot])).startswith(word.upper()))
        for word in words
    )
