"""docs/python.md and the README's program are true: they run, one after the other, as somebody types them."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fakes import unit
from tests.picture_files import picture

PAGE = Path(__file__).parents[1] / "docs/python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    texts, labels = np.eye(3, 64, dtype=np.float32), random.integers(3, size=80)
    noise = 0.05 * random.standard_normal((80, 64))
    vectors = unit(texts[labels] + noise)
    names = np.array(["cat", "dog", "cow"])[labels]
    np.savez(tmp_path / "my-clip-vectors.npz", text_vectors=texts, vectors=vectors, labels=names)
    return tmp_path


def run(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_on_vectors_it_is_short_and_needs_no_torch(folder: Path) -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line]
    assert len(lines) < 15
    end = 'import sys; print(*(name for name in ("torch", "open_clip", "kafka", "matplotlib") if name in sys.modules))'
    said = run(f"{BLOCKS[0]}\n{BLOCKS[1]}\n{BLOCKS[3]}\n{end}", folder)
    assert "(80, 3)" in said
    assert "right, each before its own label was known" in said
    assert "[0 1] 1" in said
    assert said.endswith("\n\n")  # none of them was loaded


def test_on_pictures_it_takes_a_few_lines_more(folder: Path) -> None:
    (folder / "pictures").mkdir()
    (folder / "pictures/1.jpg").write_bytes(picture("JPEG"))
    said = run(f"from stream_adapter import Classifier\n{BLOCKS[2]}", folder)
    assert said.strip() in ("['red circle']", "['blue star']")


def test_the_program_in_the_readme_runs(folder: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (PAGE.parents[1] / "README.md").read_text(), re.DOTALL)
    assert "of the 2 nearest anchors" in run(program, folder)
    assert (folder / "model.safetensors").exists()
