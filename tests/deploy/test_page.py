"""docs/kubernetes.md says what is so."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer
import yaml

from stream_adapter.cli import app
from stream_adapter.config import parse
from tests.deploy.page import PAGE, blocks, write_next_overlay
from tests.deploy.rendering import MANIFESTS, OVERLAYS, needs_kubectl, render


@needs_kubectl
def test_the_overlay_for_another_encoder_shares_nothing_but_what_it_reads(tmp_path: Path) -> None:
    shutil.copytree(MANIFESTS, tmp_path / "kubernetes")
    rendered = render(write_next_overlay(tmp_path / "kubernetes"))
    names = {each["metadata"].get("namespace", each["metadata"]["name"]) for each in rendered.objects}
    assert names == {"stream-adapter-next"}
    old = render(OVERLAYS[0]).settings
    same = {
        name for name, value in rendered.settings.items() if name.endswith(("_TOPIC", "_ID")) and value == old[name]
    }
    assert same == {"IMAGES_TOPIC", "LABELS_TOPIC", "CLASSES_TOPIC"}
    busy, lag = rendered.one("ScaledObject")["spec"]["triggers"]
    assert lag["metadata"]["consumerGroup"] == rendered.settings["KAFKA_GROUP_ID"] != old["KAFKA_GROUP_ID"]
    was = render(OVERLAYS[0]).one("ScaledObject")["spec"]["triggers"][0]["metadata"]["query"]
    assert busy["metadata"]["query"] == was.replace('namespace="stream-adapter"', 'namespace="stream-adapter-next"')


@pytest.mark.parametrize("text", blocks("yaml"))
def test_its_yaml_is_yaml(text: str) -> None:
    assert yaml.safe_load(text)


def test_the_classes_are_built_with_a_valid_configuration() -> None:
    (text,) = [block for block in blocks("yaml") if block.startswith("# classes.yaml")]
    assert (
        parse(text).encoder.model
        == yaml.safe_load((MANIFESTS / "config" / "worker.yaml").read_text())["encoder"]["model"]
    )


def test_its_paths_are_there() -> None:
    named = re.findall(r"deploy/kubernetes(/[\w/.-]+)", PAGE.read_text())
    assert named
    for path in set(named) - {"/overlays/next"}:
        assert (MANIFESTS / path[1:]).exists(), path


def test_its_commands_and_options_are_those_of_the_command_line() -> None:
    lines = "\n".join(blocks("sh")).replace("\\\n", " ")
    ours = re.findall(r"(?:-- stream-adapter|^\$worker|^stream-adapter) (.+)$", lines, re.MULTILINE)
    assert len(ours) >= 5
    for words in map(shlex.split, ours):
        command = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, command.name


@needs_kubectl
@pytest.mark.parametrize("path", [*OVERLAYS, "topics"])
def test_its_secrets_are_those_that_the_pods_want(path: str) -> None:
    sources = [variable.get("valueFrom", {}) for variable in render(path).container["env"]]
    wanted = [source["secretKeyRef"] for source in sources if "secretKeyRef" in source]
    assert len(wanted) == 2
    for secret in wanted:
        (command,) = re.findall(rf"create secret generic {secret['name']} \\\n(.*?)\n", PAGE.read_text())
        made = set(re.findall(r"--from-(?:literal|file)=([\w.]+)=", command))
        assert {secret["key"], "ca.crt"} < made
