"""Real CLIP features and pictures that some tests need; they are not part of the checkout."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("STREAM_ADAPTER_DATA", Path(__file__).parents[2] / "shared" / "data"))


def shared(name: str) -> Path:
    """The path of one of its files; skips the test where it is absent."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{path} is absent; set STREAM_ADAPTER_DATA to the folder with the shared data")
    return path
