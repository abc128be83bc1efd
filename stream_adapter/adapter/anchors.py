"""The anchor: a labelled image vector, as the adapter sees it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Anchor:
    """One labelled image vector; everything the adapter knows is a function of these.

    Attributes:
        anchor_id: stable identity of the event that taught it; the changelog's key.
        vector: float32 (d,), unit length. Whatever is given, the adapter keeps its float16 rounding (see `as_stored`).
        label: the class name.
        event_time_ms: when the event happened, milliseconds since the epoch; newer labels win over older ones.
        origin: where it came from, for people and for the wire form. Carried along, never read here.
    """

    anchor_id: str
    vector: NDArray[np.float32]
    label: str
    event_time_ms: int
    origin: object = None
