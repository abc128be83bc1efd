"""The manifests as the cluster gets them: rendered by kustomize, in the version that ships with kubectl."""

import functools
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = ("overlays/cpu", "overlays/gpu")


def _has_kubectl() -> bool:
    """Kustomize has what our manifests use since kubectl 1.27."""
    if shutil.which("kubectl") is None:
        return False
    done = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, timeout=60)
    version = json.loads(done.stdout or "{}").get("clientVersion", {})
    return (int(version.get("major", 0)), int(re.match(r"\d*", version.get("minor", "0")).group() or 0)) >= (1, 27)


needs_kubectl = pytest.mark.skipif(not _has_kubectl(), reason="needs kubectl 1.27 or newer, to render the manifests")


@dataclass(frozen=True)
class Rendered:
    """What one kustomization makes."""

    objects: tuple[dict[str, Any], ...]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str = "") -> dict[str, Any]:
        """The only object of a kind whose name begins with `name`."""
        (found,) = [each for each in self.of(kind) if each["metadata"]["name"].startswith(name)]
        return found

    @property
    def pod(self) -> dict[str, Any]:
        """The worker's pod template, or the job's."""
        (owner,) = self.of("StatefulSet") or self.of("Job")
        return owner["spec"]["template"]

    @property
    def container(self) -> dict[str, Any]:
        (container,) = self.pod["spec"]["containers"]
        return container

    @property
    def settings(self) -> dict[str, str]:
        return self.one("ConfigMap", "stream-adapter-settings")["data"]

    @property
    def worker_yaml(self) -> str:
        return self.one("ConfigMap", "stream-adapter-config")["data"]["worker.yaml"]

    @property
    def environment(self) -> dict[str, str]:
        """What the container's process finds in its environment; what only the cluster knows is made up here."""
        found = {}
        for source in self.container["envFrom"]:
            found |= self.one("ConfigMap", source["configMapRef"]["name"])["data"]
        for variable in self.container["env"]:
            found[variable["name"]] = variable.get("value", "1")
        if "POD_NAME" in found:
            found["POD_NAME"] = "stream-adapter-0"
        return found


@functools.cache
def render(path: str | Path) -> Rendered:
    """Render a kustomization below `deploy/kubernetes`, or anywhere."""
    done = subprocess.run(["kubectl", "kustomize", MANIFESTS / path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return Rendered(tuple(yaml.safe_load_all(done.stdout)))
