"""Makes components/monitoring/prometheus-rule.yaml from deploy/prometheus/rules: one truth, in the form each reads.

`make kubernetes-rules` runs it, and a test fails where the two differ. Kustomize cannot: it reads only objects of
Kubernetes.
"""

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus" / "rules"
MADE = HERE / "components" / "monitoring" / "prometheus-rule.yaml"


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Readable.add_representer(str, _text)


def prometheus_rule(rules: Path) -> dict[str, Any]:
    """The object that the Prometheus operator reads, with the groups of all files of the folder in the files' order."""
    files = sorted(rules.glob("*.yaml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "stream-adapter",
            "namespace": "stream-adapter",
            "labels": {"app.kubernetes.io/name": "stream-adapter"},
        },
        "spec": {"groups": groups},
    }


def main() -> None:
    """Write the file."""
    made = yaml.dump(prometheus_rule(RULES), Dumper=_Readable, sort_keys=False, width=120, allow_unicode=True)
    MADE.write_text(f"# Made from deploy/prometheus/rules: make kubernetes-rules\n{made}", encoding="utf-8")


if __name__ == "__main__":
    main()
