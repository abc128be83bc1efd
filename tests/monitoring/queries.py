"""The dashboard's queries, as Grafana would send them."""

import json
from typing import Any

from tests.monitoring.rules import ROOT

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/stream-adapter.json").read_text())


def queries(interval: str) -> dict[str, str]:
    """Expressions of all panels by panel and letter, with the variables filled in; `interval` is Grafana's."""
    return {
        f"{panel['title']} {target['refId']}": filled(target["expr"], interval)
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    }


def annotations(interval: str) -> dict[str, str]:
    """Expressions of the annotations by name."""
    return {one["name"]: filled(one["expr"], interval) for one in DASHBOARD["annotations"]["list"]}


def filled(expression: str, interval: str) -> str:
    for variable, value in (("$job", ".*"), ("$instance", ".*"), ("$__rate_interval", interval)):
        expression = expression.replace(variable, value)
    return expression
