"""The rules that the Prometheus operator reads are those of deploy/prometheus/rules."""

import runpy
from pathlib import Path

import pytest
import yaml

from tests.deploy.rendering import MANIFESTS, OVERLAYS, needs_kubectl, render

SCRIPT = runpy.run_path(str(MANIFESTS / "prometheus_rule.py"))
RULES: Path = SCRIPT["RULES"]
MADE: Path = SCRIPT["MADE"]


@pytest.mark.skipif(not RULES.is_dir(), reason="there are no rules in deploy/prometheus/rules")
def test_it_is_made_from_the_rules_as_they_are() -> None:
    made = yaml.safe_load(MADE.read_text())
    assert made == SCRIPT["prometheus_rule"](RULES), "run make kubernetes-rules"


@needs_kubectl
@pytest.mark.parametrize("path", OVERLAYS)
def test_kustomize_leaves_the_rules_alone(path: str) -> None:
    assert render(path).one("PrometheusRule")["spec"] == yaml.safe_load(MADE.read_text())["spec"]


def test_groups_of_several_files_come_together_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("groups: [{name: second, rules: []}]")
    (tmp_path / "a.yaml").write_text("groups: [{name: first, rules: []}, {name: more, rules: []}]")
    groups = SCRIPT["prometheus_rule"](tmp_path)["spec"]["groups"]
    assert [group["name"] for group in groups] == ["first", "more", "second"]
