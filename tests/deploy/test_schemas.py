"""Every object fits the schema that its kind is published with, and has no field that its kind does not know."""

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.deploy.rendering import MANIFESTS, OVERLAYS, needs_kubectl, render

CRDS = [yaml.safe_load(file.read_text()) for file in (Path(__file__).parent / "crds").glob("*.yaml")]


def strict(schema: Any) -> Any:
    """An API server drops unknown fields of custom resources silently; here they are errors."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        schema.setdefault("additionalProperties", schema.get("x-kubernetes-preserve-unknown-fields", False))
    return schema


def schema_of(thing: dict[str, Any]) -> dict[str, Any] | None:
    """The published schema of a custom resource; None for what Kubernetes brings itself."""
    group, _, version = thing["apiVersion"].rpartition("/")
    for definition in CRDS:
        spec = definition["spec"]
        if (spec["group"], spec["names"]["kind"]) == (group, thing["kind"]):
            (found,) = [each for each in spec["versions"] if each["name"] == version]
            schema = found["schema"]["openAPIV3Schema"]
            root = schema | {"properties": schema["properties"] | {"metadata": {"type": "object"}}}
            return strict(root)
    return None


def problems(thing: dict[str, Any]) -> list[str]:
    schema = schema_of(thing)
    if schema is None:
        return []
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(thing)]


@needs_kubectl
@pytest.mark.parametrize("path", [*OVERLAYS, "topics"])
def test_core_objects_fit_the_schemas_of_kubernetes(path: str) -> None:
    core = [thing for thing in render(path).objects if schema_of(thing) is None]
    assert core
    for thing in core:
        for version in ("1.32", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(thing, version, strict=True)


@needs_kubectl
@pytest.mark.parametrize("path", OVERLAYS)
def test_custom_resources_fit_their_definitions(path: str) -> None:
    custom = [thing for thing in render(path).objects if schema_of(thing) is not None]
    kinds = {thing["kind"] for thing in custom}
    assert kinds == {"ServiceMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication"}
    for thing in custom:
        assert problems(thing) == [], thing["metadata"]["name"]


@needs_kubectl
def test_a_misspelt_field_of_a_custom_resource_is_found() -> None:
    thing = render(OVERLAYS[0]).one("ScaledObject")
    assert problems(thing | {"spec": thing["spec"] | {"maxReplicas": 12}}) == [
        "Additional properties are not allowed ('maxReplicas' was unexpected)"
    ]
    assert problems(thing | {"spec": thing["spec"] | {"maxReplicaCount": "12"}}) == ["'12' is not of type 'integer'"]


def test_the_example_secrets_fit_and_hold_no_values() -> None:
    for secret in yaml.safe_load_all((MANIFESTS / "examples" / "kafka-secrets.yaml").read_text()):
        kubernetes_validate.validate(secret, kubernetes_validate.latest_version(), strict=True)
        assert set(secret["stringData"].values()) == {"REPLACE-ME"}
