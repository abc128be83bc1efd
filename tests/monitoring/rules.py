"""The rule files as the tests read them, and promtool to run them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_adapter.metrics import Metrics

ROOT = Path(__file__).parents[2]
RULE_FILES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yaml"))


def all_rules() -> Iterator[dict[str, Any]]:
    """Recording rules and alerts of all files, in order."""
    for path in RULE_FILES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for rule in all_rules() if "alert" in rule}


def exported() -> set[str]:
    """The names of all series that a worker exports, as Prometheus stores them."""
    names = set()
    for family in Metrics().registry.collect():
        parts = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}
        names |= {family.name + part for part in parts.get(family.type, [""])}
    return names


def metrics_in(expression: str) -> set[str]:
    """The worker's metrics that an expression asks for; names of recording rules are none."""
    return set(re.findall(r"(?<![\w:])stream_adapter_\w+(?!\w*:)", expression))


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool; skips the test where there is none."""
    command = shutil.which("promtool")
    if command is None:
        pytest.skip("no promtool here: install Prometheus (Debian: apt-get install prometheus)")
    return subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=280)
