"""A Docker to test with: the one that is there, or a daemon of its own that leaves nothing behind."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BASE = "stream-adapter-test/base"
_SUITE = "bookworm"
_PACKAGES = "ca-certificates,python3,python3-dev,python3-venv"
_START_S = 60.0


class Docker:
    """Runs `docker` and `docker compose` against one daemon.

    Args:
        host: the daemon's address, as in `DOCKER_HOST`.
        environment: further variables, such as those that a compose file takes.
    """

    def __init__(self, host: str, environment: dict[str, str]) -> None:
        self._environment = {**os.environ, **environment, "DOCKER_HOST": host}
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
        self._compose = ["docker", "compose"] if plugin else ["docker-compose"]

    def __call__(self, *arguments: str, check: bool = True) -> str:
        """Run `docker ARGUMENTS`, and give what it printed."""
        return self._run(["docker", *arguments], check)

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose ARGUMENTS`, and give what it printed."""
        return self._run([*self._compose, *arguments], check)

    def inspect(self, container: str) -> dict[str, Any]:
        """What the daemon knows of a container."""
        found: dict[str, Any] = json.loads(self("inspect", container))[0]
        return found

    def _run(self, command: list[str], check: bool) -> str:
        done = subprocess.run(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"`{' '.join(command)}` ended with status {done.returncode}:\n{done.stdout[-4000:]}")
        return done.stdout.strip()


@contextlib.contextmanager
def daemon() -> Iterator[str]:
    """The address of a daemon: of the one that answers, else of one that is started for as long as the block lasts.

    The latter has its data in a temporary folder and sets no packet filters, which a machine may lack; containers still
    reach each other and their published ports.
    """
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        yield os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        return
    folder = Path(tempfile.mkdtemp(prefix="stream-adapter-docker-"))
    host = f"unix://{folder}/docker.sock"
    command = ["dockerd", "--iptables=false", "--ip6tables=false", f"--host={host}", f"--pidfile={folder}/pid"]
    folders = [f"--data-root={folder}/data", f"--exec-root={folder}/exec"]
    with (folder / "log").open("wb") as log, subprocess.Popen([*command, *folders], stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + _START_S
            while subprocess.run(["docker", "--host", host, "info"], capture_output=True, check=False).returncode != 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"dockerd did not start:\n{(folder / 'log').read_text()[-4000:]}")
                time.sleep(0.5)
            yield host
        finally:
            process.terminate()
            process.wait(60)
            _remove(folder)


def _remove(folder: Path) -> None:
    """A folder, and what is mounted below it: the daemon leaves a namespace behind where the machine was busy."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if (place := line.split()[1]).startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", place], check=False)
    shutil.rmtree(folder)


def make_base(docker: Docker) -> None:
    """Make the image that stands in for public base images: Debian with its Python, from Debian's packages.

    What this machine needs to reach package indexes, its certificates and pip's configuration, goes in here and nowhere
    else.
    """
    if docker("images", "--quiet", BASE):
        return
    with tempfile.TemporaryDirectory(prefix="stream-adapter-base-") as folder:
        root = Path(folder) / "root"
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for name in ("etc/ssl/certs/ca-certificates.crt", "etc/pip.conf"):
            if (Path("/") / name).exists():
                shutil.copy(Path("/") / name, root / name)
        for package in (root / "var/cache/apt/archives").glob("*.deb"):
            package.unlink()
        archive = Path(folder) / "root.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        docker("import", "--change", f"ENV PATH={path}", str(archive), BASE)
