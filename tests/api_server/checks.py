"""What only a server can say about the manifests; a check raises where something is not as docs/kubernetes.md tells."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.api_server.control_plane import ControlPlane
from tests.api_server.nodes import NAMESPACE, Nodes
from tests.deploy.page import write_next_overlay
from tests.deploy.rendering import MANIFESTS, OVERLAYS, render

CRDS = Path(__file__).parents[1] / "deploy" / "crds"
WORKER = "statefulset/stream-adapter"


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {timeout_s:.0f} s: {what}"
        time.sleep(0.3)


class Checks:
    """Run in the order of `all`: each finds the cluster as the one before left it.

    Args:
        cluster: an empty one.
        nodes: get its pods ready.
        folder: for changed copies of the manifests.
    """

    def __init__(self, cluster: ControlPlane, nodes: Nodes, folder: Path) -> None:
        self._cluster = cluster
        self._nodes = nodes
        self._folder = folder
        # Copied, to be changed as a user would change them.
        self._manifests = folder / "kubernetes"
        shutil.copytree(MANIFESTS, self._manifests)

    def all(self) -> list[Callable[[], None]]:
        return [
            self.definitions_are_accepted,
            self.topics_come_first_and_bring_the_namespace,
            self.overlays_are_accepted_without_a_warning,
            self.the_overlay_is_applied_and_workers_start_at_once,
            self.pods_meet_the_restricted_standard,
            self.applying_again_changes_nothing,
            self.an_upgrade_goes_one_by_one_and_keeps_the_number_of_workers,
            self.a_worker_that_does_not_start_stops_the_upgrade,
            self.a_roll_back_brings_everything_back,
            self.only_one_worker_is_evicted_at_a_time,
            self.fewer_workers_are_the_last_ones_and_keep_their_volumes,
            self.a_lost_volume_is_made_anew,
            self.what_cannot_be_changed_is_refused,
            self.the_topics_job_runs_again_after_it_was_deleted,
            self.the_other_overlay_can_be_put_over_it,
            self.a_pod_can_be_looked_into_under_the_restricted_standard,
            self.a_roll_back_from_the_servers_history_is_overruled_by_force_only,
            self.another_encoder_runs_beside_it,
        ]

    def definitions_are_accepted(self) -> None:
        self._cluster.kubectl("create", "-f", CRDS)
        self._cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")

    def topics_come_first_and_bring_the_namespace(self) -> None:
        self._apply("topics")
        assert self._cluster.get("job", "stream-adapter-topics", "-n", NAMESPACE)["spec"]["backoffLimit"] == 6

    def overlays_are_accepted_without_a_warning(self) -> None:
        for overlay in OVERLAYS:
            self._apply(overlay, "--dry-run=server")

    def pods_meet_the_restricted_standard(self) -> None:
        for overlay in OVERLAYS:
            template = render(overlay).pod
            spec = template["spec"] | {"volumes": [*template["spec"]["volumes"], {"name": "state", "emptyDir": {}}]}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": NAMESPACE}, "spec": spec}
            admitted = self._create(pod)
            assert admitted.returncode == 0, admitted.stderr
            spec["securityContext"] = spec["securityContext"] | {"runAsNonRoot": False}
            assert "violates PodSecurity" in self._create(pod).stderr, "the standard is not enforced here"

    def the_overlay_is_applied_and_workers_start_at_once(self) -> None:
        self._nodes.held_back = {f"stream-adapter-{number}" for number in range(12)}
        self._apply("overlays/cpu")
        self._cluster.kubectl("scale", WORKER, "-n", NAMESPACE, "--replicas=3")  # as the autoscaler does
        wait_for(lambda: len(self._nodes.workers()) == 3, "three pods though none is ready")
        names = {pod["metadata"]["name"] for pod in self._nodes.workers()}
        assert names == {f"stream-adapter-{number}" for number in range(3)}
        self._nodes.held_back = set()
        self._wait_until_updated()
        assert self._claims() == {f"state-stream-adapter-{number}" for number in range(3)}

    def applying_again_changes_nothing(self) -> None:
        before = self._versions()
        self._apply("overlays/cpu")
        assert self._versions() == before
        done = self._cluster.kubectl("diff", "--server-side", "-k", self._manifests / "overlays/cpu")
        assert done.stdout == ""

    def an_upgrade_goes_one_by_one_and_keeps_the_number_of_workers(self) -> None:
        self._set_image("0.2.0")
        settings = self._manifests / "config" / "settings.env"
        settings.write_text(settings.read_text().replace("PREDICTIONS_TOPIC=predictions", "PREDICTIONS_TOPIC=answers"))
        self._nodes.watch(3)
        self._apply("overlays/cpu")
        self._wait_until_updated()
        assert self._images() == {"registry.example.com/stream-adapter:0.2.0"}
        assert len(self._nodes.workers()) == 3
        assert self._nodes.most_not_ready == 1
        self._nodes.watch(0)

    def a_worker_that_does_not_start_stops_the_upgrade(self) -> None:
        self._nodes.held_back = {"stream-adapter-2"}
        self._set_image("0.3.0")
        self._apply("overlays/cpu")
        wait_for(lambda: "registry.example.com/stream-adapter:0.3.0" in self._images(), "the first pod's new image")
        time.sleep(5.0)
        images = sorted(pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in self._nodes.workers())
        assert images == ["0.2.0", "0.2.0", "0.3.0"]

    def a_roll_back_brings_everything_back(self) -> None:
        """Though the pod that was updated last never got ready: that is left, and not replaced by itself."""
        self._nodes.held_back = set()
        self._set_image("0.1.0")
        shutil.copy(MANIFESTS / "config" / "settings.env", self._manifests / "config" / "settings.env")
        self._apply("overlays/cpu")
        self._wait_until_updated()
        assert self._images() == {"registry.example.com/stream-adapter:0.1.0"}
        template = self._cluster.get(WORKER, "-n", NAMESPACE)["spec"]["template"]
        assert template["spec"]["containers"][0]["envFrom"] == render("overlays/cpu").container["envFrom"]

    def only_one_worker_is_evicted_at_a_time(self) -> None:
        def allowed() -> int:
            return int(self._cluster.get("pdb", "stream-adapter", "-n", NAMESPACE)["status"]["disruptionsAllowed"])

        wait_for(lambda: allowed() == 1, "one disruption allowed")
        self._nodes.held_back = {"stream-adapter-0"}
        assert self._evict("stream-adapter-0").returncode == 0
        wait_for(lambda: allowed() == 0, "no disruption allowed")
        assert "disruption budget" in self._evict("stream-adapter-1").stderr
        self._nodes.held_back = set()
        wait_for(lambda: allowed() == 1, "one disruption allowed again")

    def fewer_workers_are_the_last_ones_and_keep_their_volumes(self) -> None:
        self._cluster.kubectl("scale", WORKER, "-n", NAMESPACE, "--replicas=2")
        wait_for(lambda: len(self._nodes.workers()) == 2, "two pods")
        assert {pod["metadata"]["name"] for pod in self._nodes.workers()} == {"stream-adapter-0", "stream-adapter-1"}
        assert "state-stream-adapter-2" in self._claims()

    def a_lost_volume_is_made_anew(self) -> None:
        claim = ["pvc", "state-stream-adapter-1", "-n", NAMESPACE]
        before = self._cluster.get(*claim)["metadata"]["uid"]
        self._cluster.kubectl("delete", *claim, "--wait=false")
        self._cluster.kubectl("delete", "pod", "stream-adapter-1", "-n", NAMESPACE)
        wait_for(lambda: "state-stream-adapter-1" in self._claims(), "the claim")
        wait_for(lambda: self._cluster.get(*claim)["metadata"]["uid"] != before, "another claim")
        self._wait_until_updated()

    def what_cannot_be_changed_is_refused(self) -> None:
        file = self._manifests / "base" / "stateful-set.yaml"
        text = file.read_text()
        file.write_text(text.replace("storage: 10Gi", "storage: 20Gi"))
        assert "Forbidden" in self._apply("overlays/cpu", refused=True)
        file.write_text(text)
        self._set_image("0.2.0", "topics")
        assert "field is immutable" in self._apply("topics", refused=True)

    def the_topics_job_runs_again_after_it_was_deleted(self) -> None:
        self._cluster.kubectl("delete", "job", "stream-adapter-topics", "-n", NAMESPACE)
        self._apply("topics")

    def the_other_overlay_can_be_put_over_it(self) -> None:
        self._apply("overlays/gpu")
        self._wait_until_updated()
        (limits,) = {str(pod["spec"]["containers"][0]["resources"]["limits"]) for pod in self._nodes.workers()}
        assert limits == str({"memory": "8Gi", "nvidia.com/gpu": "1"})

    def a_pod_can_be_looked_into_under_the_restricted_standard(self) -> None:
        debug = ["debug", "-n", NAMESPACE, "stream-adapter-0", "--profile=restricted"]
        custom = self._folder / "debug.json"
        custom.write_text('{"securityContext": {"runAsUser": 10001}}')
        aside = ["--image=docker.io/library/busybox:1.37", "--target=worker", f"--custom={custom}", "--attach=false"]
        self._cluster.kubectl(*debug, *aside)
        copy = ["--copy-to=stream-adapter-console", "--same-node", "--container=worker", "--attach=false"]
        self._cluster.kubectl(*debug, *copy, "--", "sleep", "infinity")
        copied = self._cluster.get("pod", "stream-adapter-console", "-n", NAMESPACE)
        assert "labels" not in copied["metadata"], "it would count as a worker"
        assert copied["spec"]["containers"][0]["command"] == ["sleep", "infinity"]
        self._cluster.kubectl("delete", "pod", "stream-adapter-console", "-n", NAMESPACE)

    def a_roll_back_from_the_servers_history_is_overruled_by_force_only(self) -> None:
        self._apply("overlays/cpu")
        self._wait_until_updated()
        self._cluster.kubectl("rollout", "undo", WORKER, "-n", NAMESPACE)
        self._wait_until_updated()
        (limits,) = {str(pod["spec"]["containers"][0]["resources"]["limits"]) for pod in self._nodes.workers()}
        assert "nvidia.com/gpu" in limits, "it was the revision before"
        assert "conflict" in self._apply("overlays/cpu", refused=True)
        self._apply("overlays/cpu", "--force-conflicts")
        self._wait_until_updated()

    def another_encoder_runs_beside_it(self) -> None:
        write_next_overlay(self._manifests)
        self._cluster.kubectl("create", "namespace", "stream-adapter-next")
        self._apply("overlays/next")
        owner = self._cluster.get(WORKER, "-n", "stream-adapter-next")
        assert owner["spec"]["template"]["spec"]["initContainers"][0]["image"].endswith(":vit-l-14-openai")

    def _apply(self, path: str, *options: str, refused: bool = False) -> str:
        """Apply, and return what was complained about; nothing, where it is not to be refused."""
        done = self._cluster.kubectl(
            "apply", "--server-side", *options, "-k", self._manifests / path, check=not refused
        )
        assert bool(done.returncode) == refused, done.stdout
        assert refused or not done.stderr, done.stderr
        return done.stderr

    def _create(self, thing: dict[str, Any]) -> Any:
        return self._cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=thing, check=False)

    def _evict(self, name: str) -> Any:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
        return self._cluster.kubectl("create", "--raw", path, "-f", "-", stdin=body, check=False)

    def _set_image(self, tag: str, path: str = "overlays/cpu") -> None:
        file = self._manifests / path / "kustomization.yaml"
        document = yaml.safe_load(file.read_text())
        document["images"][0]["newTag"] = tag
        file.write_text(yaml.safe_dump(document, sort_keys=False))

    def _images(self) -> set[str]:
        return {pod["spec"]["containers"][0]["image"] for pod in self._nodes.workers()}

    def _claims(self) -> set[str]:
        return {each["metadata"]["name"] for each in self._cluster.get("pvc", "-n", NAMESPACE)["items"]}

    def _versions(self) -> set[tuple[str, str, str]]:
        """What was written how often; a status is not counted where the kind has a generation."""
        kinds = {thing["kind"] for thing in render("overlays/cpu").objects} - {"Namespace"}
        found = self._cluster.get(",".join(sorted(kinds)), "-n", NAMESPACE)["items"]
        about = [(each["kind"], each["metadata"]) for each in found]
        return {(kind, data["name"], str(data.get("generation", data["resourceVersion"]))) for kind, data in about}

    def _wait_until_updated(self) -> None:
        def updated() -> bool:
            owner = self._cluster.get(WORKER, "-n", NAMESPACE)
            status, wanted = owner["status"], owner["spec"]["replicas"]
            seen = status.get("observedGeneration") == owner["metadata"]["generation"]
            counts = [status.get(key) for key in ("updatedReplicas", "readyReplicas", "availableReplicas")]
            return seen and counts == [wanted] * 3 and status["currentRevision"] == status["updateRevision"]

        wait_for(updated, "an update to be complete", 240.0)
