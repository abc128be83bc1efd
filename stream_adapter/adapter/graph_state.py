"""An HNSW graph as arrays: its links alone, because its vectors are the store's.

hnswlib's own file is no place for it: `save_index` swallows write errors, and a flipped byte in what `load_index` reads
crashes the process. What pickling an index copies is taken instead, 2.2 kB per anchor at d = 512, and the vectors of
live anchors are left out of it: 140 bytes stay. Filling them in again from the store makes sure that they are the same.
"""

import importlib.metadata
from dataclasses import dataclass
from typing import Any

import hnswlib
import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.store import AnchorStore
from stream_adapter.packing import Arrays, array_of

_HNSWLIB = importlib.metadata.version("hnswlib")


@dataclass(frozen=True, eq=False, slots=True)
class GraphCopy:
    """A graph as it was at one moment, as hnswlib pickles it: a copy of everything, 1.4 ms per 1,000 anchors."""

    state: dict[str, Any]

    @classmethod
    def of(cls, index: hnswlib.Index) -> "GraphCopy":
        """Copy a graph; by the thread that owns it."""
        return cls(index.__getstate__()[0])

    def arrays(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
        """The graph as arrays, for `restored_index`.

        Args:
            rows: int64 (n,), row ids of the anchors that are saved with it; vectors of others are kept here.
        """
        state = self.state
        size = state["cur_element_count"]
        elements = state["data_level0"].view(np.uint8).reshape(size, state["size_data_per_element"])
        links, vectors, labels = np.split(elements, [state["offset_data"], state["label_offset"]], axis=1)
        labels = np.ascontiguousarray(labels).view(np.uint64)[:, 0].astype(np.int64)  # (size,)
        gone = ~np.isin(labels, rows)
        return {
            "graph.settings": _settings(state),
            "graph.entry": np.array([state["enterpoint_node"], state["max_level"]], np.int64),
            "graph.labels": labels,
            "graph.links": np.ascontiguousarray(links),
            "graph.levels": state["element_levels"][:size],
            "graph.upper_links": state["link_lists"].view(np.uint8),
            "graph.gone": np.ascontiguousarray(vectors[gone]).view(np.float32),
        }


def restored_index(arrays: Arrays, store: AnchorStore, empty: hnswlib.Index, capacity: int) -> hnswlib.Index | None:
    """The graph that was saved with the store's anchors; None where none was saved, or it does not fit.

    Args:
        arrays: the saved state.
        store: the anchors that were saved with the graph, with their row ids.
        empty: a new index with the settings that are wanted now.
        capacity: room for so many elements.
    """
    if "graph.settings" not in arrays:
        return None
    state = empty.__getstate__()[0]
    try:
        saved = _checked(arrays, state)
    except ValueError:
        return None
    labels, gone = saved["graph.labels"], saved["graph.gone"]
    slots = store.slots_of(labels)
    if (slots < 0).sum() != len(gone) or len(labels) - len(gone) != len(store):
        return None
    vectors = np.empty((len(labels), store.vectors.shape[1]), np.float32)
    vectors[slots >= 0] = store.vectors[slots[slots >= 0]]
    vectors[slots < 0] = gone
    parts = (saved["graph.links"], vectors.view(np.uint8), labels.astype(np.uint64)[:, None].view(np.uint8))
    levels = np.zeros(capacity, np.int32)
    levels[: len(labels)] = saved["graph.levels"]
    entry, top = saved["graph.entry"].tolist()
    state |= {
        "ep_added": True,
        "max_elements": capacity,
        "cur_element_count": len(labels),
        "enterpoint_node": entry,
        "max_level": top,
        "has_deletions": bool(len(gone)),
        "label_lookup_external": labels.astype(np.uint64),
        "label_lookup_internal": np.arange(len(labels), dtype=np.uint32),
        "element_levels": levels,
        "data_level0": np.concatenate(parts, axis=1).reshape(-1).view(np.int8),
        "link_lists": saved["graph.upper_links"].view(np.int8),
    }
    index = hnswlib.Index.__new__(hnswlib.Index)
    index.__setstate__((state,))
    return index


def _settings(state: dict[str, Any]) -> NDArray[np.generic]:
    """What a graph can only be used with, as bytes."""
    names = ("dim", "M", "ef_construction", "space", "size_data_per_element", "size_links_per_element")
    text = ", ".join([f"hnswlib {_HNSWLIB}", *(f"{name} {state[name]}" for name in names)])
    return np.frombuffer(text.encode(), np.uint8)


def _checked(arrays: Arrays, state: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The saved arrays, of which hnswlib can believe everything: it checks nothing itself.

    Raises:
        ValueError: they are of another graph or do not fit together.
    """
    if array_of(arrays, "graph.settings", np.uint8).tobytes() != _settings(state).tobytes():
        raise ValueError("other settings")
    saved: dict[str, NDArray[Any]] = {
        "graph.entry": array_of(arrays, "graph.entry", np.int64),
        "graph.labels": array_of(arrays, "graph.labels", np.int64),
        "graph.links": array_of(arrays, "graph.links", np.uint8, dimensions=2),
        "graph.levels": array_of(arrays, "graph.levels", np.int32),
        "graph.upper_links": array_of(arrays, "graph.upper_links", np.uint8),
        "graph.gone": array_of(arrays, "graph.gone", np.float32, dimensions=2),
    }
    size, levels = len(saved["graph.labels"]), saved["graph.levels"]
    entry, top = saved["graph.entry"].tolist()
    per_level = state["size_links_per_element"]
    sound = (
        len(np.unique(saved["graph.labels"])) == size == len(levels)
        and saved["graph.links"].shape == (size, state["offset_data"])
        and saved["graph.gone"].shape[1] == state["dim"]
        and levels.min(initial=0) >= 0
        and len(saved["graph.upper_links"]) == per_level * int(levels.sum())
        and 0 <= entry < size
        and top == levels.max(initial=0) == levels[entry]
        and _lead_somewhere(saved["graph.links"], size)
        and _lead_somewhere(saved["graph.upper_links"].reshape(-1, per_level), size)
    )
    if not sound:
        raise ValueError("inconsistent")
    return saved


def _lead_somewhere(links: NDArray[np.uint8], size: int) -> bool:
    """Whether all links are to elements that exist: uint8 (n, 4 + 4 m), a count and room for m links each."""
    counts = np.ascontiguousarray(links[:, :2]).view(np.uint16)  # (n, 1); the byte after them marks deleted ones
    targets = np.ascontiguousarray(links[:, 4:]).view(np.uint32)  # (n, m)
    used = np.arange(targets.shape[1]) < counts
    return bool((counts <= targets.shape[1]).all() and (targets[used] < size).all())
