"""Replicas that only answer: an overlay with the component `serve`, and compose's service."""

import shutil
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from stream_adapter.config import parse
from stream_adapter.page.access import Access
from tests.deploy.rendering import MANIFESTS, Rendered, needs_kubectl, render
from tests.deploy.test_schemas import problems


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    folder = tmp_path_factory.mktemp("deploy") / "kubernetes"
    shutil.copytree(MANIFESTS, folder)
    file = folder / "overlays/cpu/kustomization.yaml"
    document = yaml.safe_load(file.read_text())
    document["components"].append("../../components/serve")
    file.write_text(yaml.safe_dump(document))
    return render(folder / "overlays/cpu")


@needs_kubectl
def test_its_objects_fit_their_schemas(rendered: Rendered) -> None:
    made = [thing for thing in rendered.objects if thing["metadata"]["name"] == "stream-adapter-serve"]
    assert {thing["kind"] for thing in made} == {"Deployment", "Service", "NetworkPolicy", "ServiceMonitor"}
    for thing in made:
        assert thing["metadata"]["namespace"] == "stream-adapter"
        if thing["kind"] == "ServiceMonitor":
            assert problems(thing) == []
        else:
            kubernetes_validate.validate(thing, kubernetes_validate.latest_version(), strict=True)


@needs_kubectl
def test_its_pods_are_not_taken_for_workers_and_answer_only_with_the_token(rendered: Rendered) -> None:
    deployment = rendered.one("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for name in ("stream-adapter", "stream-adapter-metrics"):
        (service,) = [one for one in rendered.of("Service") if one["metadata"]["name"] == name]
        assert not service["spec"]["selector"].items() <= labels.items()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["serve", "/etc/stream-adapter/worker.yaml"]
    assert container["image"] == rendered.container["image"]
    values = {one["name"]: one.get("value", "0123456789abcdef") for one in container["env"]} | rendered.settings
    for token, enabled in ((values["PREDICT_TOKEN"], True), ("", False)):
        text = rendered.worker_yaml
        for name, value in {**values, "PREDICT_TOKEN": token}.items():
            text = text.replace(f"${{{name}}}", value).replace(f"${{{name}:-}}", value)
        config = parse(text, folder=Path("/"))
        access = Access.of_predictions(config.predict, config.page, config.service.host)
        assert (access.enabled, access.private) == (enabled, enabled)
