"""Anchors from an operator's side: what was learned, and deleting from it. Running workers follow within a second."""

import getpass
from collections.abc import Sequence
from urllib.parse import quote

from stream_adapter.config import Config
from stream_adapter.errors import AnchorError
from stream_adapter.events import BY_HAND, AnchorRecord, anchor_tombstone
from stream_adapter.events.names import canonical_name
from stream_adapter.operations.history import Point, anchors_at
from stream_adapter.transport.opening import transport_of


def whoever() -> str:
    """The user's name as a part of a URI; `unknown` where there is none, as in many containers."""
    try:
        return quote(getpass.getuser())
    except (OSError, KeyError):
        return "unknown"


def writer() -> str:
    """Who writes anchors, or deletes them, by hand. No worker's name: all take in what the commands write."""
    return f"{BY_HAND}{whoever()}"


def read_anchors(config: Config, label: str | None = None) -> dict[str, AnchorRecord]:
    """The anchors that are there now, or those of a class, by id, in the order in which they were written."""
    anchors = anchors_at(config, Point()).anchors
    return {anchor_id: anchor for anchor_id, anchor in anchors.items() if label is None or _is_of(anchor, label)}


def find_anchor(config: Config, prefix: str) -> AnchorRecord:
    """The one anchor whose id begins with `prefix`.

    Raises:
        AnchorError: there is none, or several.
        TransportError: they cannot be read.
    """
    return _unique(read_anchors(config), prefix)


def choose_anchors(config: Config, prefixes: Sequence[str], label: str | None) -> list[AnchorRecord]:
    """The anchors whose ids begin with one of `prefixes`, and all of a class where one is named.

    Raises:
        AnchorError: an id is not there or not unique.
        TransportError: they cannot be read.
    """
    anchors = read_anchors(config)
    chosen = {anchor.anchor_id: anchor for anchor in (_unique(anchors, prefix) for prefix in prefixes)}
    chosen |= {anchor.anchor_id: anchor for anchor in anchors.values() if label is not None and _is_of(anchor, label)}
    return list(chosen.values())


def delete_anchors(config: Config, anchors: Sequence[AnchorRecord]) -> None:
    """Delete these anchors."""
    transport_of(config).write([anchor_tombstone(anchor.anchor_id, writer()) for anchor in anchors])


def _is_of(anchor: AnchorRecord, label: str) -> bool:
    return canonical_name(anchor.label) == canonical_name(label)


def _unique(anchors: dict[str, AnchorRecord], prefix: str) -> AnchorRecord:
    matches = [anchor for anchor_id, anchor in anchors.items() if anchor_id.startswith(prefix)]
    if not matches:
        raise AnchorError(f"no anchor has an id that begins with {prefix!r}; see `stream-adapter anchors list`")
    if len(matches) > 1:
        raise AnchorError(f"{len(matches)} anchors have ids that begin with {prefix!r}; give more of it")
    return matches[0]
