"""What a wheel holds: the package, all of it, and nothing else."""

import re
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from trove_classifiers import classifiers

ROOT = Path(__file__).parents[1]


def _in_the_wheel() -> set[str]:
    return {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}


def test_it_holds_every_file_of_the_package_and_no_other() -> None:
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "stream_adapter").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert _in_the_wheel() == package
    assert "stream_adapter/demo/model/small-clip.safetensors" in package


def test_an_index_would_take_its_metadata_and_the_changelog_has_its_version() -> None:
    metadata = ProjectMetadata(str(ROOT), PluginManager())
    metadata.validate_fields()
    core = metadata.core
    assert (core.license_expression, core.readme_content_type) == ("Apache-2.0", "text/markdown")
    assert set(core.classifiers) <= classifiers
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} < set(core.classifiers)
    assert all(url.startswith("https://") for url in core.urls.values())
    versions = re.findall(r"^## (\d+\.\d+\.\d+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == metadata.version


def test_no_training_code_is_in() -> None:
    """No file reads batches as training does: the fits of adapters and rivals are over arrays."""
    sources = [ROOT / name for name in _in_the_wheel() if name.endswith(".py")]
    trained = [path for path in sources if "torch.utils.data" in path.read_text() or "lr_scheduler" in path.read_text()]
    assert sources
    assert trained == []
    for moved in (ROOT / "training").glob("*.py"):
        assert not any(f"training.{moved.stem}" in path.read_text() for path in sources), moved
