import dataclasses
from typing import Any

import pytest
import typer

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.cameras import CameraSettings
from stream_adapter.evaluate.cli import app
from stream_adapter.evaluate.stream import StreamSettings
from stream_adapter.evaluate.stream_options import camera_classes, stream_settings

OF_COPIES = {"sources", "copies", "spread", "camera_classes", "copies_wrong"}
FITTING = {
    "shuffled": set(),
    "by-domain": set(),
    "recorded": {"canaries_after"},
    "cameras": {field.name for field in dataclasses.fields(StreamSettings)} - {"events", "batch", "order"},
}
VALUES: dict[str, Any] = {
    field.name: field.default for kind in (StreamSettings, CameraSettings) for field in dataclasses.fields(kind)
}


@pytest.mark.parametrize("order", FITTING)
@pytest.mark.parametrize("name", sorted(set(VALUES) - {"order"}))
def test_what_does_not_fit_the_order_is_refused_with_a_reason(order: str, name: str) -> None:
    unfit = FITTING[order] | (OF_COPIES if order != "cameras" else set())
    if name in unfit:
        option = name.replace("_", "-")
        with pytest.raises(
            EvaluationError, match=rf"^--{option} does not fit --order {order}: .{{20,}}; leave it out$"
        ):
            stream_settings(order, [name], VALUES)
    else:
        assert stream_settings(order, [name], VALUES).order == order


def test_what_was_not_given_has_the_orders_own_default() -> None:
    assert stream_settings("recorded", [], VALUES) == StreamSettings(order="recorded")
    given = VALUES | {"events": 40, "copies": 7, "label_rate": 0.9, "file": "x"}
    assert stream_settings("cameras", ["events", "copies", "file"], given) == CameraSettings(events=40, copies=7)


def test_the_commands_defaults_are_those_of_the_settings() -> None:
    command: Any = typer.main.get_command(app)
    defaults = {parameter.name: parameter.default for parameter in command.commands["stream"].params}
    told = {name: str(value) for name, value in defaults.items() if name in set(VALUES) - {"events", "order"}}
    assert told == {name: str(value) for name, value in VALUES.items() if name not in {"events", "order"}}
    assert defaults["events"] is None, "it differs between the orders"


def test_camera_classes_are_a_number_or_all() -> None:
    assert camera_classes("all") == "all"
    assert camera_classes("3") == 3
    for wrong in ("0", "-1", "1.5", "", "ALL", "²"):
        with pytest.raises(EvaluationError, match="--camera-classes must be a whole number from 1 on, or all"):
            camera_classes(wrong)
