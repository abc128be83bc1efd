"""The options of `evaluate stream` as settings: what does not fit the order is refused, with the reason."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.cameras import CameraSettings
from stream_adapter.evaluate.stream import StreamSettings

_NO_CANARIES = "there are no canaries: classes without cameras take their place"
_ALL_LABELLED = "every copy has its label at once, and the varied pictures have none"

_UNFIT = {
    "cameras": {
        "label_rate": _ALL_LABELLED,
        "select": _ALL_LABELLED,
        "delay": _ALL_LABELLED,
        "label_noise": "copies are labelled rightly, or all wrongly with --copies-wrong",
        "canaries": _NO_CANARIES,
        "canary_rate": _NO_CANARIES,
        "canary_labels": _NO_CANARIES,
        "canaries_after": _NO_CANARIES,
        "look_alike": _NO_CANARIES,
    },
    "recorded": {"canaries_after": "it would take events out of the file's order"},
}
_CAMERAS_ONLY = ("sources", "copies", "spread", "camera_classes", "copies_wrong")


def stream_settings(order: str, given: Iterable[str], values: dict[str, Any]) -> StreamSettings | CameraSettings:
    """The settings of a stream.

    Args:
        order: one of the orders.
        given: the names of the options that the user gave; those that are none of the stream's are left aside.
        values: of all options by name.
    """
    unfit = dict(_UNFIT.get(order, {}))
    if order != "cameras":
        unfit |= dict.fromkeys(_CAMERAS_ONLY, "there are copies with --order cameras alone")
    kind: Callable[..., StreamSettings | CameraSettings] = CameraSettings if order == "cameras" else StreamSettings
    known = {field.name for of_kind in (StreamSettings, CameraSettings) for field in dataclasses.fields(of_kind)}
    chosen = {name: values[name] for name in given if name in known - {"order"}}
    for name in chosen:
        if name in unfit:
            raise EvaluationError(
                f"--{name.replace('_', '-')} does not fit --order {order}: {unfit[name]}; leave it out"
            )
    return kind(**chosen, order=order)


def camera_classes(text: str) -> int | str:
    """A whole number from 1 on, or "all"."""
    if text != "all" and not (text.isdecimal() and int(text)):
        raise EvaluationError(f"--camera-classes must be a whole number from 1 on, or all; found {text!r}")
    return text if text == "all" else int(text)
