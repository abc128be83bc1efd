"""The pictures that the page shows: small JPEGs, made anew from what the encoder saw, in bounded memory."""

import base64
import io
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from stream_adapter.encode.base import Prepared
from stream_adapter.page.explaining import explain
from stream_adapter.page.sampling import Seen

STRIP = 48
_SIDE = 96
_QUALITY = 70


def thumbnail(picture: Prepared) -> bytes | None:
    """A small JPEG of what the encoder got, cropped as it saw it; None of an event that came as a vector.

    Nothing of the original file is in it: no metadata, and no byte that a decoder of another make could stumble over.

    Args:
        picture: uint8 (3, H, W), or a vector (d,).
    """
    if picture.ndim != 3:
        return None
    image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))  # (H, W, 3)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


class Pictures:
    """The newest sampled events, and the thumbnails of as many as are kept. Safe for several threads.

    Args:
        keep: thumbnails, about 3 kB each.
        with_pictures: whether there are any; without, only what was said about the events is shown.
    """

    def __init__(self, keep: int, *, with_pictures: bool) -> None:
        self._keep = keep
        self._with_pictures = with_pictures
        self._lock = threading.Lock()
        self._strip: deque[tuple[int, Seen]] = deque(maxlen=STRIP)  # by number
        self._thumbnails: OrderedDict[str, bytes] = OrderedDict()  # anchor id -> JPEG
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._number = 0

    def add(self, seen: Seen) -> None:
        """Take an event in; makes its thumbnail."""
        made = thumbnail(seen.picture) if self._with_pictures else None
        light = Seen(seen.anchor_id, np.zeros(0, np.float32), seen.prediction, seen.picked)
        with self._lock:
            self._number += 1
            self._strip.append((self._number, light))
            if made is None or seen.anchor_id in self._forgotten:
                return
            self._thumbnails[seen.anchor_id] = made
            self._thumbnails.move_to_end(seen.anchor_id)
            while len(self._thumbnails) > self._keep:
                self._thumbnails.popitem(last=False)

    def forget(self, anchor_ids: Iterable[str]) -> None:
        """Drop the pictures of events whose anchors are deleted, also those that are on their way."""
        with self._lock:
            for anchor_id in anchor_ids:
                self._thumbnails.pop(anchor_id, None)
                self._forgotten[anchor_id] = None
            while len(self._forgotten) > self._keep:
                self._forgotten.popitem(last=False)
            dropped = [shown for shown in self._strip if shown[1].anchor_id not in self._forgotten]
            self._strip = deque(dropped, maxlen=STRIP)

    def kept(self) -> list[str]:
        """Anchor ids of the events whose thumbnails there are."""
        with self._lock:
            return list(self._thumbnails)

    def of(self, anchor_ids: Iterable[str]) -> dict[str, str | None]:
        """For each id the thumbnail as a `data:` address, None where there is none."""
        with self._lock:
            found = {anchor_id: self._thumbnails.get(anchor_id) for anchor_id in anchor_ids}
        address = "data:image/jpeg;base64,"
        return {id: jpeg if jpeg is None else address + base64.b64encode(jpeg).decode() for id, jpeg in found.items()}

    def since(self, number: int, limit: int) -> list[dict[str, Any]]:
        """The events after `number`, at most the `limit` newest, oldest first: JSON."""
        with self._lock:
            shown = [one for one in self._strip if one[0] > number][-limit:]
        thumbnails = self.of(seen.anchor_id for _, seen in shown)
        return [
            {
                "number": place,
                "anchor_id": seen.anchor_id,
                "picked": seen.picked,
                "explanation": explain(seen.prediction),
                "picture": thumbnails[seen.anchor_id],
                **seen.prediction,
            }
            for place, seen in shown
        ]
