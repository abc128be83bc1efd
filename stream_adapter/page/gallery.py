"""Anchors by class, as the page shows them: chosen from a view of the adapter, away from its thread."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.contradictions import contradictions
from stream_adapter.events.headers import format_time
from stream_adapter.events.moved import Moved, harm_and_help
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
    view: View,
    pictures: Pictures,
    *,
    label: str | None,
    search: str,
    limit: int,
    moved: Iterable[Moved] | None = None,
) -> dict[str, Any]:
    """The newest anchors of a class, or of all: JSON.

    Args:
        view: of the adapter.
        pictures: where there are thumbnails.
        label: only this class; None: all.
        search: words that all must hold, or one annotator or source: an id's beginning, a part of the event's id, the
            annotator, the event's source, or the beginning of the label's time (`2026-11-28`, UTC).
        limit: at most so many.
        moved: only those that did more harm than good to these answers, or that other anchors contradict, where the
            view has vectors to tell by; the worst first.
    """
    listing, slots = view.anchors, chosen(view, label=label, search=search)
    order = np.lexsort((-slots, -listing.times[slots]))  # of one time the later slot, mostly the newer
    doubts: list[dict[str, Any]] = []
    if moved is not None:
        doubts = _doubts(view, moved)
        worst = np.array([(one["harmed"] - one["helped"], one["contradicted"]) for one in doubts]).reshape(-1, 2)
        slots = slots[(worst[slots] > (0.0, 0.5)).any(axis=1)]
        order = np.lexsort(-worst[slots].T[::-1])
    found, shown = len(slots), slots[order][:limit].tolist()
    thumbnails = pictures.of(listing.ids[slot] for slot in shown)
    return {
        "found": found,
        "compared": view.vectors is not None,
        "anchors": [
            {
                "id": listing.ids[slot],
                "label": view.names[int(listing.classes[slot])],
                "time": format_time(int(listing.times[slot])),
                "event": {"source": listing.origins[slot].event_source, "id": listing.origins[slot].event_id},
                "annotator": listing.origins[slot].annotator or None,
                "picture": thumbnails[listing.ids[slot]],
                **(doubts[slot] if doubts else {}),
            }
            for slot in shown
        ],
        "annotators": _annotators(view, slots, doubts) if doubts else [],
    }


def _doubts(view: View, moved: Iterable[Moved]) -> list[dict[str, Any]]:
    """What speaks against each anchor, and for it."""
    listing, names = view.anchors, view.names
    shares, others = np.zeros(len(listing.ids)), listing.classes
    if view.vectors is not None:
        shares, others = contradictions(view.vectors, listing.classes)
    labels = [names[index] for index in listing.classes.tolist()]
    harmed, helped = harm_and_help(moved, dict(zip(listing.ids, labels, strict=True)) | dict(view.late_labels))
    return [
        {"contradicted": round(share, 3), "others": names[other], "harmed": harmed[id], "helped": helped[id]}
        for id, share, other in zip(listing.ids, shares.tolist(), others.tolist(), strict=True)
    ]


def _annotators(view: View, slots: NDArray[np.int64], doubts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many anchors each annotator has, how many are in these slots, what all did; the most harmful first."""
    counts = {name: Counter[str]() for name in ("anchors", "suspicious", "harmed", "helped")}
    names = [origin.annotator for origin in view.anchors.origins]
    counts["suspicious"].update(names[slot] for slot in slots.tolist())
    for name, doubt in zip(names, doubts, strict=True):
        counts["anchors"][name] += 1
        counts["harmed"][name] += doubt["harmed"]
        counts["helped"][name] += doubt["helped"]
    worst = (counts["suspicious"] + counts["harmed"]).most_common(_ANNOTATORS)
    return [{"annotator": name or None, **{what: count[name] for what, count in counts.items()}} for name, _ in worst]


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
