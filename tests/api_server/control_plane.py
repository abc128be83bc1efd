"""A real Kubernetes control plane without nodes: etcd, API server and controllers, built from their Go modules."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from stream_adapter.demo.browser import open_loopback

HERE = Path(__file__).parent
BINARIES = HERE / "bin"
PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
START_TIMEOUT_S = 180.0


def build() -> float:
    """Build what is missing; minutes the first time, nothing later. Returns the seconds that it took."""
    began = time.monotonic()
    for tool in ("go", "kubectl", "openssl"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is needed and not on the PATH")
    # What Kubernetes' own build would write into them; kubectl refuses a server without a version.
    module = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes"], cwd=HERE, check=True, stdout=subprocess.PIPE
    )
    version = module.stdout.decode().strip()
    major, minor, _ = version.removeprefix("v").split(".")
    names = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    flags = "-s -w " + " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in names.items())
    for program, package in PROGRAMS.items():
        target = BINARIES / program
        if not target.exists() or target.stat().st_mtime < (HERE / "go.mod").stat().st_mtime:
            command = ["go", "build", "-trimpath", "-buildvcs=false", f"-ldflags={flags}", "-o", str(target), package]
            subprocess.run(command, cwd=HERE, check=True)
            target.touch()
    return time.monotonic() - began


class ControlPlane:
    """Runs from `with` to its end; everything that it writes is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._kubeconfig = folder / "kubeconfig"

    def __enter__(self) -> "ControlPlane":
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kubectl(
        self, *arguments: str | Path, stdin: Any = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl against this server; an object as `stdin` is what `-f -` reads.

        Raises:
            AssertionError: it failed, and `check` is set.
        """
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self._kubeconfig}", *map(str, arguments)],
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0 or not check, f"kubectl {' '.join(map(str, arguments))}\n{done.stderr}"
        return done

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` answers, as objects."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def _start(self) -> None:
        etcd, peers, api = _free_ports(3)
        token = os.urandom(16).hex()
        key = self._folder / "service-accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (self._folder / "tokens.csv").write_text(f"{token},tester,tester,system:masters\n")
        user, cluster = {"token": token}, {"server": f"https://127.0.0.1:{api}", "insecure-skip-tls-verify": True}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        self._kubeconfig.write_text(yaml.safe_dump(kubeconfig))
        client, peer = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}"
        self._run(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )
        self._wait("etcd", lambda: _answers(f"{client}/health"))
        self._run(
            "kube-apiserver",
            f"--etcd-servers={client}",
            f"--secure-port={api}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self._folder / 'certificates'}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
        )
        self._wait(
            "kube-apiserver", lambda: self.kubectl("get", "--raw", "/readyz", check=False).stdout.strip() == "ok"
        )
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={self._kubeconfig}",
            f"--service-account-private-key-file={key}",
            "--secure-port=0",
            "--leader-elect=false",
        )

    def _run(self, program: str, *arguments: str) -> None:
        with (self._folder / f"{program}.log").open("wb") as log:
            command: Sequence[str] = [str(BINARIES / program), *arguments]
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _wait(self, program: str, ready: Any) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            log = (self._folder / f"{program}.log").read_text(errors="replace")
            if self._processes[-1].poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{program} did not start:\n{log[-3000:]}")
            time.sleep(0.5)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _answers(url: str) -> bool:
    try:
        with open_loopback(url, 2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
