"""Who the pods are, what they may do, and how long they are waited for."""

from typing import Any

import pytest

from stream_adapter.config import Config, parse
from tests.deploy.rendering import OVERLAYS, Rendered, needs_kubectl, render

pytestmark = needs_kubectl
ANY = [*OVERLAYS, "topics"]


@pytest.fixture
def config(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Config:
    for name, value in render(request.getfixturevalue("path")).environment.items():
        monkeypatch.setenv(name, value)
    return parse(render(request.getfixturevalue("path")).worker_yaml)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) == {"matchLabels"}
    return selector["matchLabels"].items() <= labels.items()


def longest_start_s(container: dict[str, Any]) -> float:
    return container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]


@pytest.mark.parametrize("path", ANY)
def test_every_container_is_locked_up(path: str) -> None:
    pod = render(path).pod["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    context = pod["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["runAsGroup"]) == (True, 10001, 10001)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"]["cpu"]
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]} or container["name"] == "model"


@pytest.mark.parametrize("path", OVERLAYS)
def test_state_is_on_a_volume_of_the_pods_own_that_it_may_write(path: str, config: Config) -> None:
    rendered = render(path)
    (claim,) = rendered.one("StatefulSet")["spec"]["volumeClaimTemplates"]
    mounts = {mount["name"]: mount for mount in rendered.container["volumeMounts"]}
    assert config.snapshots.folder is not None
    assert config.snapshots.folder.is_relative_to(mounts[claim["metadata"]["name"]]["mountPath"])
    assert not mounts[claim["metadata"]["name"]].get("readOnly")
    assert rendered.pod["spec"]["securityContext"]["fsGroup"] == 10001


@pytest.mark.parametrize("path", OVERLAYS)
def test_a_drain_and_its_snapshot_fit_into_the_grace_period(path: str, config: Config) -> None:
    grace_s = render(path).pod["spec"]["terminationGracePeriodSeconds"]
    # Drain; leave the group, 45 s where no broker answers; and a last snapshot, 2 s for 100,000 anchors.
    assert grace_s >= config.service.drain_s + 45 + 20


@pytest.mark.parametrize("path", OVERLAYS)
def test_the_startup_probe_leaves_time_for_a_restore_of_a_million_anchors_from_the_topic(path: str) -> None:
    probe = render(path).container["startupProbe"]
    assert probe["httpGet"]["path"] == "/startupz"
    # 45 to 50 s for 100,000 on two cores, ten times that for a million, and as much again for slow brokers and volumes.
    assert longest_start_s(render(path).container) >= 2 * 10 * 50


@pytest.mark.parametrize("path", OVERLAYS)
def test_liveness_asks_for_progress_and_lets_the_worker_decide_what_is_stuck(path: str, config: Config) -> None:
    probe = render(path).container["livenessProbe"]
    assert probe["httpGet"]["path"] == "/healthz"
    assert "initialDelaySeconds" not in probe, "the startup probe waits"
    assert probe["failureThreshold"] * probe["periodSeconds"] <= config.service.stuck_after_s, "the rest is detail"
    # The client's session lives on in a thread of its own: whoever is stuck must be gone before the poll interval is.
    killed_after_s = config.service.stuck_after_s + probe["failureThreshold"] * probe["periodSeconds"]
    assert probe["terminationGracePeriodSeconds"] > config.service.drain_s
    killed_after_s += probe["terminationGracePeriodSeconds"]
    assert killed_after_s * 1e3 < config.kafka.max_poll_interval_ms


@pytest.mark.parametrize("path", OVERLAYS)
def test_a_batch_on_slow_hardware_is_not_taken_for_a_stall(path: str, config: Config) -> None:
    if config.encoder.device == "cpu":
        pictures_a_second = 3.4  # ViT-B/16 in float32 on two shared cores, docs/measurements.md
        assert config.service.stuck_after_s > 10 * config.batch.max_batch / pictures_a_second


@pytest.mark.parametrize("path", OVERLAYS)
def test_probes_ports_and_services_meet_the_port_that_is_served(path: str, config: Config) -> None:
    rendered = render(path)
    assert config.service.http
    assert config.service.host == "0.0.0.0"  # 127.0.0.1 would answer nobody
    (port,) = rendered.container["ports"]
    assert port["containerPort"] == config.service.port
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert rendered.container[probe]["httpGet"]["port"] == port["name"]
    for service in rendered.of("Service"):
        assert [each["targetPort"] for each in service["spec"]["ports"]] == [port["name"]]
        assert service["spec"]["selector"].items() <= rendered.pod["metadata"]["labels"].items()
    (rule,) = rendered.one("NetworkPolicy")["spec"]["ingress"]
    assert [each["port"] for each in rule["ports"]] == [config.service.port]


@pytest.mark.parametrize("path", OVERLAYS)
def test_the_stateful_set_names_its_headless_service(path: str) -> None:
    rendered = render(path)
    service = rendered.one("StatefulSet")["spec"]["serviceName"]
    (headless,) = [each for each in rendered.of("Service") if each["metadata"]["name"] == service]
    assert headless["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize("path", OVERLAYS)
def test_budget_policy_and_spread_select_the_workers(path: str) -> None:
    rendered = render(path)
    labels = rendered.pod["metadata"]["labels"]
    budget = rendered.one("PodDisruptionBudget")["spec"]
    assert selects(budget["selector"], labels)
    assert budget["maxUnavailable"] == 1
    policy = rendered.one("NetworkPolicy")["spec"]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    for spread in rendered.pod["spec"]["topologySpreadConstraints"]:
        assert selects(spread["labelSelector"], labels)
    jobs = render("topics").pod["metadata"]["labels"]
    for pod in (labels, jobs):
        assert selects(policy["podSelector"], pod)
    assert not selects(budget["selector"], jobs)
    assert not rendered.one("Service", "stream-adapter-metrics")["spec"]["selector"].items() <= jobs.items()


@pytest.mark.parametrize("path", OVERLAYS)
def test_pods_reach_nothing_but_names_and_kafka(path: str) -> None:
    rendered = render(path)
    dns, kafka = rendered.one("NetworkPolicy")["spec"]["egress"]
    assert {each["port"] for each in dns["ports"]} == {53}
    (server,) = rendered.settings["KAFKA_BOOTSTRAP_SERVERS"].split(",")
    host, _, port = server.partition(":")
    assert [each["port"] for each in kafka["ports"]] == [int(port)]
    (peer,) = kafka["to"]
    assert peer == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": host.split(".")[1]}}}


def test_a_gpu_worker_has_one_and_finds_a_node_that_has_them() -> None:
    rendered: Rendered = render("overlays/gpu")
    assert rendered.container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert rendered.pod["spec"]["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert rendered.pod["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert rendered.container["image"].endswith("-cuda")
    assert "nvidia.com/gpu" not in str(render("overlays/cpu").pod)
