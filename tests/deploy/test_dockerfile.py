"""The Dockerfile, and what it copies."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stream_adapter.config import Config
from tests.campaigns.workers import allocator_of_the_image

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COPIED = [
    source for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for source in line.split()
]
FILES = [ROOT / "Dockerfile", *ROOT.glob("deploy/**/*.Dockerfile")]
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.mark.parametrize(
    "path", [ROOT / "Dockerfile", *ROOT.glob("deploy/**/*.Dockerfile")], ids=lambda path: path.name
)
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    done = subprocess.run([HADOLINT, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    kept = [line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert "stream_adapter" in COPIED
    for source in COPIED:
        for path in [source.replace("${VARIANT}", variant) for variant in ("cpu", "cuda")]:
            assert (ROOT / path).exists()
            assert any(Path(path).is_relative_to(name) or Path(path).match(name) for name in kept), path


def test_links_in_the_package_lead_to_what_is_copied() -> None:
    for link in (path for path in (ROOT / "stream_adapter").rglob("*") if path.is_symlink()):
        target = link.resolve().relative_to(ROOT)
        assert any(target.is_relative_to(source) for source in COPIED), f"{link} would be left hanging"


def test_it_runs_as_a_number_that_is_not_root() -> None:
    """Kubernetes can tell that a number is not root; of a name it cannot."""
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]


def test_the_port_is_the_configurations() -> None:
    port = Config.model_fields["service"].default.port
    assert f"EXPOSE {port}\n" in DOCKERFILE
    assert f"STREAM_ADAPTER_PORT={port}\n" in DOCKERFILE


def test_the_image_allocates_with_jemalloc() -> None:
    variables = allocator_of_the_image()
    if not variables:
        pytest.skip("no jemalloc here: apt-get install libjemalloc2")
    assert "--no-install-recommends libjemalloc2 " in DOCKERFILE
    maps = subprocess.check_output(["cat", "/proc/self/maps"], env={**os.environ, **variables}, text=True)
    assert variables["LD_PRELOAD"] in maps
