"""Learners by name."""

from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

from stream_adapter.adapter import methods
from stream_adapter.adapter.adapter import Adapter
from stream_adapter.config import AdapterConfig
from stream_adapter.errors import ConfigError
from tests.learners import ClassMeans

TEXTS = np.eye(2, 8, dtype=np.float32)


def test_an_unknown_name_is_an_error_that_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'mixtur'; did you mean 'mixture'\? known are .*llu"):
        Adapter(TEXTS, ["a", "b"], config=AdapterConfig(method="mixtur"))


def test_a_learner_of_another_package_is_found_by_its_entry_point_and_gets_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Any] = []

    class Plugged(ClassMeans):
        def __init__(self, classes: Any, anchors: Any, settings: Any, surroundings: Any) -> None:
            super().__init__(classes, anchors, settings, surroundings)
            given.append(settings)

    monkeypatch.setattr("tests.learners.Plugged", Plugged, raising=False)
    point = EntryPoint("plugged", "tests.learners:Plugged", methods.GROUP)
    monkeypatch.setattr(methods, "entry_points", lambda group: [point] if group == methods.GROUP else [])
    config = AdapterConfig(method="plugged", methods={"plugged": {"depth": 3}})
    assert isinstance(Adapter(TEXTS, ["a", "b"], config=config)._learner, Plugged)
    assert given == [{"depth": 3}]
