"""A Label Studio from PyPI, installed in an environment of its own, on loopback alone."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path
from typing import Any

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
WHERE = ROOT / "build/label-studio"
VERSION = "1.23.2"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
_ALONE = {
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "ML_BLOCK_LOCAL_IP": "false",  # or it takes no backend on a private address
    "SSRF_PROTECTION_ENABLED": "false",  # and no webhook there
}


def install() -> Path:
    """Put it into `build/label-studio`, once; returns its command."""
    command = WHERE / "bin/label-studio"
    if not command.exists():
        venv.create(WHERE, with_pip=True, clear=True)
        subprocess.run([WHERE / "bin/pip", "install", "--quiet", f"label-studio=={VERSION}"], check=True)
    return command


class LabelStudio:
    """A running server; its API takes and gives JSON."""

    def __init__(self, folder: Path, email: str) -> None:
        self.port = free_port()
        self._log = (folder / "label-studio.log").open("wb")
        command: list[str | Path] = [install(), "start", "--no-browser", "--internal-host", "127.0.0.1"]
        command += ["--port", str(self.port), "--data-dir", folder / "data", "--username", email, "--password"]
        command += ["a password", "--user-token", TOKEN, "--enable-legacy-api-token"]
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment | _ALONE, stdout=self._log, stderr=subprocess.STDOUT
        )

    def wait(self, seconds: float = 240.0) -> None:
        """Until it answers: the first start makes its database."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self("GET", "/api/projects/")
                return
            except (OSError, AssertionError) as error:
                assert self._process.poll() is None, Path(self._log.name).read_text()
                assert time.monotonic() < deadline, f"it does not answer: {error}"
                time.sleep(1.0)

    def __call__(self, method: str, path: str, document: Any = None) -> Any:
        """One request of its API."""
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                said = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:2_000]!r}") from None
        return json.loads(said) if said else None

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()
