"""One worker.yaml, read by the worker's own loader with the environment that the pods have."""

import re
from typing import Any

import pytest
import yaml

from stream_adapter.config import parse
from stream_adapter.transport.kafka.topics import topic_specs
from tests.deploy.rendering import MANIFESTS, OVERLAYS, Rendered, needs_kubectl, render

pytestmark = needs_kubectl
ANY = [*OVERLAYS, "topics"]


def variables(text: str) -> set[str]:
    return set(re.findall(r"\$\{([A-Za-z_][A-Za-z0-9_]*)", re.sub(r"(^|\s)#.*", "", text)))


def references(node: Any, key: str) -> list[Any]:
    """All values of `key`, wherever it is."""
    if isinstance(node, dict):
        return [value for name, value in node.items() if name == key] + [
            found for value in node.values() for found in references(value, key)
        ]
    return [found for each in node for found in references(each, key)] if isinstance(node, list) else []


@pytest.mark.parametrize("path", ANY)
def test_the_configuration_is_valid_with_the_environment_of_the_pod(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = render(path)
    for name, value in rendered.environment.items():
        monkeypatch.setenv(name, value)
    config = parse(rendered.worker_yaml)
    assert config.encoder.device == rendered.settings["ENCODER_DEVICE"]
    assert config.kafka.security["ssl_cafile"] == "/etc/kafka/ca.crt"


@pytest.mark.parametrize("path", ANY)
def test_the_pod_provides_every_variable_and_no_setting_is_idle(path: str) -> None:
    rendered = render(path)
    wanted = variables(rendered.worker_yaml)
    assert wanted - {"PREDICT_TOKEN"} <= set(rendered.environment)  # which only the component `serve` has
    elsewhere = {"IMAGES_PARTITIONS", "TOPICS_REPLICATION_FACTOR"}  # for the topics job's arguments
    assert set(rendered.settings) == (wanted & set(rendered.settings)) | elsewhere


def test_settings_are_unset_where_nobody_sets_them() -> None:
    """No default in the file: a forgotten setting is an error, not another worker's topic; no token is nobody's."""
    text = (MANIFESTS / "config" / "worker.yaml").read_text()
    assert re.findall(r"\$\{\w+:-\w*\}", text) == ["${PREDICT_TOKEN:-}"]


@pytest.mark.parametrize("path", OVERLAYS)
def test_a_worker_is_named_for_its_pod(path: str) -> None:
    rendered = render(path)
    assert "group_instance_id: ${POD_NAME}" in rendered.worker_yaml
    assert "transactional_id" not in rendered.worker_yaml, "it follows from the group and the pod's name"
    (source,) = [each["valueFrom"] for each in rendered.container["env"] if each["name"] == "POD_NAME"]
    assert source == {"fieldRef": {"fieldPath": "metadata.name"}}


@pytest.mark.parametrize("path", OVERLAYS)
def test_threads_are_the_cores_that_were_asked_for(path: str) -> None:
    (source,) = [each["valueFrom"] for each in render(path).container["env"] if each["name"] == "OMP_NUM_THREADS"]
    assert source == {"resourceFieldRef": {"containerName": "worker", "resource": "requests.cpu"}}


@pytest.mark.parametrize("path", ANY)
def test_secrets_are_referred_to_and_nowhere_written(path: str) -> None:
    rendered: Rendered = render(path)
    assert rendered.of("Secret") == []
    assert not [name for name in rendered.settings if re.search(r"(?i)password|token|secret|user", name)]
    security = yaml.safe_load(rendered.worker_yaml)["kafka"]["security"]
    assert (security["sasl_plain_username"], security["sasl_plain_password"]) == (
        "${KAFKA_USERNAME}",
        "${KAFKA_PASSWORD}",
    )
    secret = {"KAFKA_USERNAME", "KAFKA_PASSWORD"}
    assert {each["name"] for each in rendered.container["env"] if "secretKeyRef" in each.get("valueFrom", {})} == secret


@pytest.mark.parametrize("path", ANY)
def test_the_pods_use_the_config_maps_that_come_with_them(path: str) -> None:
    rendered = render(path)
    made = {each["metadata"]["name"] for each in rendered.of("ConfigMap")}
    used = {each["name"] for key in ("configMapRef", "configMap") for each in references(rendered.pod, key)}
    assert used == made


def test_workers_and_topics_job_read_the_same_file() -> None:
    assert len({render(path).worker_yaml for path in ANY}) == 1


def test_the_topics_job_makes_as_many_partitions_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = render("topics")
    (create,) = rendered.pod["spec"]["initContainers"]
    assert "--partitions=$(IMAGES_PARTITIONS)" in create["args"]
    assert (create["env"], create["envFrom"]) == (rendered.container["env"], rendered.container["envFrom"])
    for name, value in rendered.environment.items():
        monkeypatch.setenv(name, value)
    config = parse(rendered.worker_yaml)
    images = topic_specs(config.kafka.topics, partitions=int(rendered.settings["IMAGES_PARTITIONS"]))[0]
    assert images.name == rendered.settings["IMAGES_TOPIC"]
    assert images.partitions >= render(OVERLAYS[0]).one("ScaledObject")["spec"]["maxReplicaCount"]
