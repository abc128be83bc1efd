"""The compose file: it parses, and what it names is there and valid."""

import re
import shutil
import subprocess
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from stream_adapter import config
from stream_adapter.cli import app
from stream_adapter.demo.samples import SampleSettings, sample_pictures

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"
DOCUMENT: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
MOUNTED = "/etc/stream-adapter/worker.yaml"
OURS = [name for name, service in SERVICES.items() if "build" in service]
PROVISIONING = sorted(COMPOSE.glob("grafana/provisioning/*/*.yaml"))


def compose_command() -> list[str]:
    plugin = ["docker", "compose"]
    if shutil.which("docker") and subprocess.run([*plugin, "version"], capture_output=True).returncode == 0:
        return plugin
    if shutil.which("docker-compose") is None:
        pytest.skip("neither `docker compose` nor docker-compose is here")
    return ["docker-compose"]


@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.test.yaml"]], ids=["alone", "test"])
def test_compose_itself_takes_it(files: list[str]) -> None:
    plugin = (
        shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    )
    if not plugin and shutil.which("docker-compose") is None:
        pytest.skip("neither `docker compose` nor docker-compose is here")
    command = ["docker", "compose"] if plugin else ["docker-compose"]
    arguments = [argument for name in files for argument in ("-f", str(COMPOSE / name))]
    done = subprocess.run([*command, *arguments, "config", "--quiet"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_files_that_are_mounted_exist() -> None:
    sources = [mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])]
    files = [source for source in sources if source.startswith(".")]
    assert len(files) > 3
    # Rules and dashboards are folders that may be empty, and are made where they are not there.
    missing = [name for name in files if Path(name).suffix and not (COMPOSE / name).is_file()]
    assert missing == []
    volumes = {source for source in sources if not source.startswith(".")}
    assert volumes == set(DOCUMENT["volumes"])


@pytest.mark.parametrize("name", OURS)
def test_every_service_of_ours_reads_the_workers_file_and_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert f"./worker.yaml:{MOUNTED}:ro" in service["volumes"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["tmpfs"] == ["/tmp"]


def test_commands_exist() -> None:
    ours = [SERVICES[name]["command"] for name in OURS if "command" in SERVICES[name]]
    assert [[*words[:-1]] for words in ours] == [["topics", "create"], ["serve"], ["produce-samples"]]
    for words in ours:
        command: Any = typer.main.get_command(app)
        for word in words[:-1]:
            command = command.commands[word]
        assert words[-1] == MOUNTED


def test_images_of_others_are_of_a_fixed_version() -> None:
    for name in SERVICES.keys() - set(OURS):
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"]), name


def test_the_workers_file_is_valid_and_fits_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTNAME", "f00d")
    loaded = config.load(COMPOSE / "worker.yaml")
    host, _, port = loaded.kafka.bootstrap_servers.partition(":")
    kafka = SERVICES[host]["environment"]
    assert kafka["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{host}:{port}"
    assert loaded.kafka.group_instance_id == "f00d"
    assert float(SERVICES["worker"]["stop_grace_period"].rstrip("s")) > loaded.service.drain_s
    assert loaded.snapshots.folder is not None
    state = next(mount.split(":")[1] for mount in SERVICES["worker"]["volumes"] if mount.startswith("worker:"))
    assert loaded.snapshots.folder.is_relative_to(state)
    assert loaded.service.host == "0.0.0.0"
    scrapes = yaml.safe_load((COMPOSE / "prometheus.yaml").read_text())["scrape_configs"]
    found = [one["dns_sd_configs"][0] for one in scrapes]
    assert {(one["names"][0], one["port"]) for one in found} == {(n, loaded.service.port) for n in ("worker", "serve")}
    assert len({one["job_name"] for one in scrapes}) == 2
    assert all("stream-adapter" in one["job_name"] for one in scrapes), "what alerts look for"


def test_its_classes_can_be_drawn() -> None:
    loaded = config.load(COMPOSE / "worker.yaml")
    classes = loaded.vocabulary.classes or ()
    assert set(loaded.adapter.canaries) < set(classes)
    assert len(list(islice(sample_pictures(classes, SampleSettings()), 3))) == 3


def test_prometheus_takes_its_file() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not here")
    path = COMPOSE / "prometheus.yaml"
    done = subprocess.run(["promtool", "check", "config", "--syntax-only", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "path", sorted(COMPOSE.glob("grafana/provisioning/*/*.yaml")), ids=lambda path: path.parent.name
)
def test_grafanas_provisioning_points_at_what_is_mounted(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    if path.parent.name == "datasources":
        (source,) = document["datasources"]
        assert source["url"] == "http://prometheus:9090" and source["isDefault"]
    else:
        (provider,) = document["providers"]
        mounts = [mount.split(":")[1] for mount in SERVICES["grafana"]["volumes"]]
        assert provider["options"]["path"] in mounts
