"""Fetches the custom resource definitions that our manifests use, as Go modules: `python update.py` (needs go).

Descriptions are left out, which makes them a tenth of the size; everything that validates stays as it was published.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
COPYRIGHT = {"monitoring.coreos.com": "CoreOS Project, copyright 2015 CoreOS, Inc.", "keda.sh": "The KEDA Authors."}
SOURCES = {
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ],
    "github.com/kedacore/keda/v2@v2.20.2": [
        "config/crd/bases/keda.sh_scaledobjects.yaml",
        "config/crd/bases/keda.sh_triggerauthentications.yaml",
    ],
}


def without_descriptions(node: Any) -> Any:
    """Texts named `description` go; a property of that name (a mapping) stays."""
    if isinstance(node, dict):
        return {
            key: without_descriptions(value)
            for key, value in node.items()
            if not (key == "description" and isinstance(value, str))
        }
    return [without_descriptions(value) for value in node] if isinstance(node, list) else node


def main() -> None:
    """Write one file for each definition, beside this one."""
    for module, paths in SOURCES.items():
        answer = subprocess.run(["go", "mod", "download", "-json", module], capture_output=True, check=True, text=True)
        folder = Path(json.loads(answer.stdout)["Dir"])
        for path in paths:
            definition = without_descriptions(yaml.safe_load((folder / path).read_text()))
            owner = COPYRIGHT[definition["spec"]["group"]]
            head = f"# {module}/{path}, without its descriptions.\n# {owner} Licensed under the Apache License 2.0.\n"
            (HERE / Path(path).name).write_text(head + yaml.safe_dump(definition, sort_keys=False))


if __name__ == "__main__":
    main()
