"""The autoscaler: its numbers against the other manifests, and whether it comes to rest."""

import math
import re
from typing import Any

import numpy as np
import pytest

from stream_adapter.metrics import STAGES, Metrics
from tests.deploy.autoscaler import STEP_S, Autoscaler, Workers, reversals, simulate
from tests.deploy.rendering import OVERLAYS, needs_kubectl, render

pytestmark = needs_kubectl
EVENTS_A_SECOND = 4.0  # of one worker; the lag's threshold is two minutes of it


def scaled_object(path: str = OVERLAYS[0]) -> dict[str, Any]:
    return render(path).one("ScaledObject")


def trigger(path: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in scaled_object(path)["spec"]["triggers"] if each["name"] == name]
    return found


def workers(number: int) -> Workers:
    return Workers(EVENTS_A_SECOND, start_s=120, handover_s=90, number=number)


@pytest.mark.parametrize("path", OVERLAYS)
def test_there_are_never_more_workers_than_partitions_and_never_none(path: str) -> None:
    spec = scaled_object(path)["spec"]
    assert 1 <= spec["minReplicaCount"] < spec["maxReplicaCount"] <= int(render(path).settings["IMAGES_PARTITIONS"])
    assert spec["minReplicaCount"] <= spec["fallback"]["replicas"] <= spec["maxReplicaCount"]


@pytest.mark.parametrize("path", OVERLAYS)
def test_the_number_of_workers_is_left_to_the_autoscaler(path: str) -> None:
    target = scaled_object(path)["spec"]["scaleTargetRef"]
    owner = render(path).one("StatefulSet")
    assert (target["kind"], target["name"]) == (owner["kind"], owner["metadata"]["name"])
    assert "replicas" not in owner["spec"]


@pytest.mark.parametrize("path", OVERLAYS)
def test_the_lag_is_that_of_the_workers_own_group(path: str) -> None:
    settings, metadata = render(path).settings, trigger(path, "lag")["metadata"]
    assert metadata["bootstrapServers"] == settings["KAFKA_BOOTSTRAP_SERVERS"]
    assert metadata["consumerGroup"] == settings["KAFKA_GROUP_ID"]
    assert metadata["topic"] == settings["IMAGES_TOPIC"]
    assert metadata["lagThreshold"].isdecimal()
    assert metadata["allowIdleConsumers"] == "false"
    (login,) = render(path).of("TriggerAuthentication")
    assert trigger(path, "lag")["authenticationRef"]["name"] == login["metadata"]["name"]


@pytest.mark.parametrize("path", OVERLAYS)
def test_the_busy_query_asks_for_what_is_exported_in_this_namespace(path: str) -> None:
    query = trigger(path, "busy")["metadata"]["query"]
    (name,) = re.findall(r"stream_adapter_\w+", query)
    assert name.removesuffix("_sum") in {family.name for family in Metrics().registry.collect()}
    (stages,) = re.findall(r'stage=~"([^"]+)"', query)
    assert set(stages.split("|")) < set(STAGES)
    assert f'namespace="{render(path).one("StatefulSet")["metadata"]["namespace"]}"' in query
    monitor = render(path).one("ServiceMonitor")["spec"]
    service = render(path).one("Service", "stream-adapter-metrics")["metadata"]["labels"]
    assert f'job="{service[monitor["jobLabel"]]}"' in query
    assert monitor["selector"]["matchLabels"].items() <= service.items()


@pytest.mark.parametrize("load", [0.5, 1.3, 2.1, 2.8, 3.5, 4.2, 5.0, 6.6, 7.7])
def test_under_a_constant_load_it_comes_to_rest(load: float) -> None:
    """`load` is in workers; noise of 10 % comes on top."""
    rng = np.random.default_rng(0)
    numbers = simulate(
        Autoscaler(scaled_object()),
        workers(2),
        lambda _: load * EVENTS_A_SECOND * rng.normal(1.0, 0.1),
        hours=12,
    )
    settled = numbers[int(2 * 3600 / STEP_S) :]
    assert len(set(settled)) == 1
    assert settled[0] >= load


def test_a_day_is_followed_up_and_down_once() -> None:
    rng = np.random.default_rng(1)

    def day(now_s: float) -> float:
        return EVENTS_A_SECOND * (3.5 - 2.5 * math.cos(2 * math.pi * now_s / 86_400)) * rng.normal(1.0, 0.2)

    group = workers(2)
    numbers = simulate(Autoscaler(scaled_object()), group, day, hours=24)
    assert max(numbers) >= 8
    assert numbers[-1] <= 3
    assert reversals(numbers) == 1
    assert group.lag < 2 * 500


def test_a_burst_brings_workers_that_go_again() -> None:
    numbers = simulate(
        Autoscaler(scaled_object()),
        workers(2),
        lambda now_s: EVENTS_A_SECOND * (9.0 if 3_600 <= now_s < 5_400 else 1.0),
        hours=6,
    )
    assert max(numbers) > 6
    assert numbers[-1] == 2
    assert reversals(numbers) == 1


def test_lag_alone_would_flap() -> None:
    """The control: the same simulation, without the trigger that keeps what the traffic needs."""
    numbers = simulate(
        Autoscaler(scaled_object(), metrics=("lag",)), workers(2), lambda _: 5.0 * EVENTS_A_SECOND, hours=12
    )
    assert reversals(numbers) >= 6
