"""Pictures that labels refer to whose event is gone, or never came: fetched beside the stream, then embedded."""

from collections.abc import Callable
from concurrent.futures import Future
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from stream_adapter.encode.base import Encoder, Prepared
from stream_adapter.errors import EventError
from stream_adapter.events import round_through_float16
from stream_adapter.events.reference import Reference
from stream_adapter.events.waiting import LabelRecord
from stream_adapter.journey.faults import Unexpected, done_apart, encoding
from stream_adapter.transport.base import Record

_EMBEDDED_AT_ONCE = 16


class LatePictures:
    """Belongs to the thread that owns the adapter.

    Args:
        encoder: embeds them.
        unexpected: called for pictures that the encoder fails at.
        fetch: starts to get and to decode the picture of a reference; the record says for whom.
    """

    def __init__(
        self, encoder: Encoder, unexpected: Unexpected, fetch: Callable[[Record, Reference], Future[Prepared]]
    ) -> None:
        self._encoder = encoder
        self._unexpected = unexpected
        self._fetch = fetch
        self._under_way: dict[str, tuple[LabelRecord, Future[Prepared]]] = {}  # by anchor id

    def awaits(self, label: LabelRecord) -> bool:
        """Whether this label's picture is under way."""
        known = self._under_way.get(label.event.anchor_id)
        return known is not None and known[0] == label

    def ask(self, label: LabelRecord, reference: str) -> None:
        """Fetch the picture of a label's event, where that was not begun."""
        if self.awaits(label):
            return
        try:
            future = self._fetch(label.to_record(), Reference.parse(reference))
        except EventError as error:
            future = Future()
            future.set_exception(error)
        self._under_way[label.event.anchor_id] = label, future

    def found(self) -> list[tuple[LabelRecord, NDArray[np.float32] | EventError]]:
        """What has come of it: labels, each with the vector (d,) of its picture, unit, or why there is none."""
        done = [one for one in self._under_way.values() if one[1].done()]
        pictures, found = [], list[tuple[LabelRecord, NDArray[np.float32] | EventError]]()
        for label, future in islice(done, _EMBEDDED_AT_ONCE):
            del self._under_way[label.event.anchor_id]
            try:
                pictures.append((label, future.result()))
            except EventError as error:
                found.append((label, error))
        if pictures:
            encode = encoding(self._encoder, [picture for _, picture in pictures])
            embedded, faults = done_apart(encode, range(len(pictures)))
            vectors = iter(round_through_float16(np.concatenate(embedded)) if embedded else ())  # each (d,)
            for row, (label, _) in enumerate(pictures):
                fault = faults.get(row)
                at_fault = None if fault is None else self._unexpected("encode", label.to_record(), fault)
                found.append((label, at_fault or next(vectors)))
        return found
