"""A package beside this one, installed as anybody would install it, but into a folder of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent / "example_plugin"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the example is installed; nothing is fetched for it."""
    folder = tmp_path_factory.mktemp("plugins")
    project, target = folder / "project", folder / "installed"
    shutil.copytree(EXAMPLE, project)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    command = [sys.executable, "-m", "pip", "install", *options, str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def importable(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example is there for this process too."""
    monkeypatch.syspath_prepend(str(installed))
    return installed
