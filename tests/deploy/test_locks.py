"""The locked requirements of the image: complete, hashed, and what `pyproject.toml` allows."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "deploy" / "requirements"


def locked(*names: str) -> dict[str, str]:
    """Package to version."""
    found: dict[str, str] = {}
    for name in names:
        pairs = re.findall(r"^([a-z0-9-]+)==(\S+)", (LOCKS / name).read_text(), re.MULTILINE)
        assert not found.keys() & dict(pairs).keys(), "locked twice"
        found |= dict(pairs)
    return found


def direct() -> list[Requirement]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, extras = document["project"], document["project"]["optional-dependencies"]
    lines = [*project["dependencies"], *extras["worker"], *extras["page"]]
    return [requirement for line in lines if (requirement := Requirement(line)).name != project["name"]]


@pytest.mark.parametrize("variant", ["cpu", "cuda"])
@pytest.mark.parametrize("requirement", direct(), ids=lambda requirement: requirement.name)
def test_every_dependency_is_locked_to_a_version_that_is_allowed(requirement: Requirement, variant: str) -> None:
    version = locked("base.txt", f"torch-{variant}.txt")[requirement.name.replace("_", "-")]
    assert Version(version) in requirement.specifier, "run `make lock`"


def test_both_variants_have_the_same_torch() -> None:
    cpu, cuda = locked("torch-cpu.txt"), locked("torch-cuda.txt")
    assert cpu == {name: f"{cuda[name]}+cpu" for name in ("torch", "torchvision")}


@pytest.mark.parametrize("path", sorted(LOCKS.glob("*.txt")), ids=lambda path: path.name)
def test_everything_has_hashes(path: Path) -> None:
    blocks = re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.MULTILINE)[1:]
    assert blocks
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", block), block.splitlines()[0]
