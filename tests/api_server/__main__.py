"""Put the manifests into a real API server: `make kubernetes-test`. The last line is JSON."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.api_server.checks import Checks
from tests.api_server.control_plane import ControlPlane, build
from tests.api_server.nodes import Nodes


def main() -> None:
    """Build, start, check; exit status 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep logs here")
    given = parser.parse_args()
    print("building etcd, kube-apiserver and kube-controller-manager where they are missing", file=sys.stderr)
    built_s = build()
    with tempfile.TemporaryDirectory(prefix="kubernetes-test-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with ControlPlane(folder) as cluster, Nodes(cluster) as nodes:
            version = json.loads(cluster.kubectl("version", "-o", "json").stdout)["serverVersion"]["gitVersion"]
            passed, failed = [], ""
            for check in Checks(cluster, nodes, folder).all():
                print(check.__name__.replace("_", " "), file=sys.stderr, flush=True)
                try:
                    check()
                except AssertionError as error:
                    failed = f"{check.__name__}: {error}"
                    break
                passed.append(check.__name__)
    report = {"server": version, "passed": len(passed), "failed": failed, "build_s": round(built_s)}
    print(json.dumps(report | {"seconds": round(time.monotonic() - began)}))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
