"""A real Prometheus with the project's rules, in which a minute takes a second."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from stream_adapter.demo import watchdog
from stream_adapter.demo.browser import open_loopback
from tests.monitoring.rules import RULE_FILES
from tests.ports import free_port

FACTOR = 60
"""Every duration of the rules, and of Prometheus, is divided by this; nothing else of a rule is changed. Numbers that a
rule compares with stay as they are, seconds too: a worker's batch is no faster here."""

SCRAPE_S = 60 / FACTOR
_CALM_WITHIN_S = 90.0
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_DURATION = r"(?:\d+(?:ms|[smhdwy]))+"


def shorter(duration: str, factor: int = FACTOR) -> str:
    """A duration of Prometheus, such as `1h30m`, divided."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    if not re.fullmatch(_DURATION, duration):
        raise ValueError(f"no duration of Prometheus: {duration!r}")
    return f"{round(1000 * sum(int(n) * _UNITS_S[unit] for n, unit in parts) / factor)}ms"


def scaled(rules: dict[str, Any], factor: int = FACTOR) -> dict[str, Any]:
    """A rule file whose `for`, intervals, ranges and offsets are divided; a copy."""

    def of(expression: str) -> str:
        ranges = re.sub(
            _DURATION + r"(?=[\]:])|(?<=:)" + _DURATION + r"(?=\])", lambda m: shorter(m[0], factor), expression
        )
        return re.sub(rf"(?<=offset ){_DURATION}", lambda m: shorter(m[0], factor), ranges)

    groups = []
    for group in rules["groups"]:
        changed = [
            rule | {"expr": of(rule["expr"])} | ({"for": shorter(rule["for"], factor)} if "for" in rule else {})
            for rule in group["rules"]
        ]
        interval = {"interval": shorter(group["interval"], factor)} if "interval" in group else {}
        groups.append(group | {"rules": changed} | interval)
    return {"groups": groups}


class Prometheus:
    """A server that scrapes workers on this machine, as a context manager; skips the test where there is none.

    Args:
        folder: for its data and files.
        ports: of the workers.
    """

    def __init__(self, folder: Path, ports: list[int]) -> None:
        command = shutil.which("prometheus")
        if command is None:
            pytest.skip("no Prometheus here: install it (Debian: apt-get install prometheus)")
        folder.mkdir(parents=True)
        self.port = free_port()
        for path in RULE_FILES:
            (folder / path.name).write_text(yaml.safe_dump(scaled(yaml.safe_load(path.read_text()))))
        config = {
            "global": {
                "scrape_interval": f"{SCRAPE_S * 1000:.0f}ms",
                "evaluation_interval": f"{SCRAPE_S * 1000:.0f}ms",
            },
            "rule_files": [str(folder / path.name) for path in RULE_FILES],
            "scrape_configs": [
                {
                    "job_name": "stream-adapter",
                    "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}],
                }
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._since_s = 0.0
        self._log = folder / "prometheus.log"
        self._command = [
            *(sys.executable, "-I", "-S", watchdog.__file__, str(folder)),  # it never outlives the tests
            *(command, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
            *(f"--web.listen-address=127.0.0.1:{self.port}", f"--query.lookback-delta={shorter('5m')}"),
            "--log.level=warn",
        ]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with open_loopback(f"http://127.0.0.1:{self.port}/-/ready"):
                    break
            except OSError:
                time.sleep(0.05)
        # Discovery hands its targets on every five seconds, which are minutes here: until then no worker is known.
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.query("up == 1"):
                return self
            time.sleep(0.1)
        self.__exit__()
        raise AssertionError(f"Prometheus did not start:\n{self._log.read_text()[-3_000:]}")

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"stop\n")
            self._process.stdin.close()
        self._process.wait(20)
        print(self._log.read_text()[-3_000:])

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query: a vector's elements."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        with open_loopback(url, 20) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result

    def watch(self) -> None:
        """Count alerts from the first moment on at which none fires or is about to.

        Raises:
            AssertionError: there is no such moment.
        """
        deadline = time.monotonic() + _CALM_WITHIN_S
        while left := self.query("ALERTS"):
            if time.monotonic() > deadline:
                raise AssertionError(f"no calm within {_CALM_WITHIN_S} s: {[one['metric'] for one in left]}")
            time.sleep(0.2)
        self._since_s = time.time()

    def fired(self) -> set[str]:
        """The alerts that have fired since `watch`."""
        since_ms = round(1000 * (time.time() - self._since_s)) + 1
        found = self.query(f'group by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{since_ms}ms]))')
        return {one["metric"]["alertname"] for one in found}
