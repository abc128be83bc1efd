"""What docs/kubernetes.md tells to write, written."""

import re
import shutil
from pathlib import Path

from tests.deploy.rendering import MANIFESTS

PAGE = Path(__file__).parents[2] / "docs" / "kubernetes.md"


def blocks(language: str) -> list[str]:
    """The page's fenced blocks of one language, without the indentation of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def write_next_overlay(manifests: Path) -> Path:
    """The overlay for another encoder, in a copy of our manifests; returns its folder."""
    (text,) = [block for block in blocks("yaml") if block.startswith("# overlays/next/")]
    folder = manifests / "overlays" / "next"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(text)
    shutil.copy(MANIFESTS / "config" / "worker.yaml", folder)
    return folder
