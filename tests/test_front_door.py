"""What `import stream_adapter` gives, and what it leaves alone."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import stream_adapter

HEAVY = ("torch", "torchvision", "open_clip", "kafka", "numpy", "matplotlib", "hnswlib", "pydantic", "structlog")


def python(code: str) -> list[str]:
    """The words that a fresh process prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    command = [sys.executable, "-c", f"import os, sys\n{code}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_the_package_loads_nothing_heavy_and_sets_nothing() -> None:
    code = f"""
before = dict(os.environ)
import stream_adapter
dir(stream_adapter)
assert dict(os.environ) == before
print(*(name for name in {HEAVY} if name in sys.modules))
"""
    assert python(code) == []


def test_help_does_not_wait_for_what_it_does_not_show() -> None:
    code = f"""
from typer.testing import CliRunner
from stream_adapter.cli import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
print(*(name for name in {HEAVY} if name in sys.modules))
"""
    assert python(code) == []


@pytest.mark.parametrize("name", stream_adapter.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert name in dir(stream_adapter)
    found: Any = getattr(stream_adapter, name)
    assert name == "__version__" or found.__name__ == name


def test_another_name_is_none() -> None:
    with pytest.raises(AttributeError, match="module 'stream_adapter' has no attribute 'Adaptor'"):
        _ = stream_adapter.Adaptor  # type: ignore[attr-defined]


def test_type_checkers_see_the_same_names() -> None:
    (typed, *_) = [
        node for node in ast.parse(Path(stream_adapter.__file__).read_text()).body if isinstance(node, ast.If)
    ]
    names = {alias.name: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names == {name: f"stream_adapter.{home}" for name, home in stream_adapter._HOME_OF.items()}
    assert {*names, "__version__"} == set(stream_adapter.__all__)


def test_the_default_method_works_without_torch() -> None:
    code = """
import numpy as np
from stream_adapter import Adapter, AdapterConfig, Anchor

texts = np.eye(3, 16, dtype=np.float32)
adapter = Adapter(texts, ["cat", "dog", "cow"], logit_scale=10.0)
random = np.random.default_rng(0)
for batch in range(20):
    vectors = texts[random.integers(3, size=8)] + 0.3 * random.standard_normal((8, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert adapter.predict(vectors).adapted.shape == (8, 3)
    ids = [f"{batch}/{row}" for row in range(8)]
    adapter.update(ids, vectors, [Anchor(ids[0], vectors[0], "dog", event_time_ms=batch)])
adapter.learn([Anchor("one more", texts[0], "cat", event_time_ms=99)])
adapter.forget(["0/0"])
print(adapter.n_anchors, AdapterConfig().method, "torch" in sys.modules)
"""
    assert python(code) == ["20", "mixture", "False"]


def test_a_worker_sets_how_threads_wait_before_torch_is_there() -> None:
    code = """
import types
main = types.ModuleType("stream_adapter.service.main")
main.run_worker = lambda config: print(os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
sys.modules["stream_adapter.service.main"] = main
from stream_adapter import cli
cli.load_config = lambda path: path
for given in (None, "active"):
    os.environ |= {"OMP_WAIT_POLICY": given} if given else {}
    cli.run("worker.yaml")
    os.environ.pop("OMP_WAIT_POLICY")
"""
    assert python(code) == ["passive", "False", "active", "False"]
