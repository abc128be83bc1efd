"""Learners by name, and their settings."""

import numpy as np
import pytest
from pydantic import ValidationError

import tests.learners  # noqa: F401 - adds one
from stream_adapter.adapter.adapter import Adapter
from stream_adapter.config import AdapterConfig
from stream_adapter.evaluate.methods import METHODS
from stream_adapter.plugins import LEARNERS
from tests.learners import ClassMeans

TEXTS = np.eye(2, 8, dtype=np.float32)


def test_an_unknown_name_is_refused_with_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(ValidationError, match=r"'mixtur'; did you mean 'mixture'\? known are .*llu"):
        AdapterConfig(method="mixtur")
    with pytest.raises(ValidationError, match="shadow"):
        AdapterConfig(shadow="nothing like it")


def test_a_learner_of_another_package_is_made_with_its_own_settings() -> None:
    config = AdapterConfig(method="class-means", methods={"class-means": {}}, protection=0.0)
    assert isinstance(Adapter(TEXTS, ["a", "b"], config=config)._learner, ClassMeans)


def test_settings_that_a_learner_does_not_know_are_refused() -> None:
    with pytest.raises(ValidationError):
        AdapterConfig(method="class-means", methods={"class-means": {"depth": 3}})
    with pytest.raises(ValidationError, match="section `mixture`"):
        AdapterConfig(methods={"mixture": {"window": 3}})


def test_every_rival_of_evaluate_is_a_learner() -> None:
    assert {*METHODS} - {"default"} <= {*LEARNERS.built_in}
