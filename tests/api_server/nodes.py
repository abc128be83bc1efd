"""Stands in for nodes: says of every pod that it runs, and of those that are not held back that they are ready."""

import threading
import time
from typing import Any

from tests.api_server.control_plane import ControlPlane

NAMESPACE = "stream-adapter"


class Nodes:
    """A kubelet of a few lines, in a thread of its own.

    Attributes:
        held_back: pods that do not get ready.
        most_not_ready: the largest number of worker pods that were not ready, or missing, at one moment since `watch`.
    """

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="nodes")
        self._expected = 0
        self.held_back: set[str] = set()
        self.most_not_ready = 0

    def __enter__(self) -> "Nodes":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def watch(self, expected: int) -> None:
        """Begin to count how many of `expected` pods are not ready."""
        self.most_not_ready, self._expected = 0, expected

    def workers(self) -> list[dict[str, Any]]:
        selector = "app.kubernetes.io/component=worker"
        return list(self._cluster.get("pods", "-n", NAMESPACE, "-l", selector)["items"])

    def _serve(self) -> None:
        while not self._stop.wait(0.2):
            pods = self.workers()
            ready = sum(is_ready(pod) for pod in pods)
            self.most_not_ready = max(self.most_not_ready, self._expected - ready)
            for pod in pods:
                name = pod["metadata"]["name"]
                if not is_ready(pod) and name not in self.held_back:
                    self._say_ready(name)

    def _say_ready(self, name: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": now}
            for kind in ("Initialized", "Ready", "ContainersReady")
        ]
        patch = f'{{"status": {{"phase": "Running", "conditions": {conditions!r}}}}}'.replace("'", '"')
        where = ["pod", name, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch]
        self._cluster.kubectl("patch", *where, check=False)  # it may have gone meanwhile


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = {each["type"]: each["status"] for each in pod.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
