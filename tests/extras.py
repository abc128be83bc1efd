"""Each extra, installed alone in a fresh environment, does what it is for: `make extras-test`, or `EXTRAS="base page"`.

Ends with one line of JSON: for each extra the megabytes that it brings to a fresh environment, and what was run. Takes
what pip finds, so that `worker` and `evaluate` fetch a whole torch.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.evaluate.data import make_features

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/python.md").read_text(), re.MULTILINE | re.DOTALL)
COLOURS = {"red": [220, 30, 30], "green": [30, 200, 40]}
CLIP = "model: small-clip, model_config_file: '${STREAM_ADAPTER_PACKAGE}/demo/model/small-clip.json'"
WEIGHTS = "pretrained: '${STREAM_ADAPTER_PACKAGE}/demo/model/small-clip.safetensors'"


class Environment:
    """A fresh virtual environment with one extra of the wheel in it."""

    def __init__(self, folder: Path, wheel: Path, extra: str) -> None:
        self._folder = folder
        self.ran: list[str] = []
        venv.create(folder / "venv", with_pip=True)
        before = self._megabytes()
        self("pip", "install", "--quiet", str(wheel) + ("" if extra == "base" else f"[{extra}]"))
        self.megabytes = self._megabytes() - before

    def __call__(self, program: str, *arguments: object, status: int = 0) -> str:
        """Run a program of the environment; returns what it said."""
        command = [str(self._folder / "venv/bin" / program), *map(str, arguments)]
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        done = subprocess.run(
            command, cwd=self._folder, env=environment, capture_output=True, text=True, check=False, timeout=1_800
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, f"{' '.join(command)}: status {done.returncode}\n{said}"
        self.ran.append(" ".join(map(str, (program, *arguments)))[:60].splitlines()[0])
        return said

    def command(self, *arguments: object, status: int = 0) -> str:
        """Run a command of the package."""
        return self("stream-adapter", *arguments, status=status)

    def _megabytes(self) -> int:
        files = (path for path in (self._folder / "venv").rglob("*") if path.is_file() and not path.is_symlink())
        return round(sum(path.stat().st_size for path in files) / 1e6)


def configuration(folder: Path, name: str, encoder: str, input: str = "pictures") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(
        f"transport: files\nfiles: {{input: {input}, output: results-{name}, labels_file: labels.jsonl}}\n"
        f"encoder: {{{encoder}}}\n"
        "vocabulary: {classes: [red, green], templates: none}\nservice: {port: 0}\n"
    )
    return path


def pictures(folder: Path) -> None:
    for name, colour in COLOURS.items():
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(6):
            shade = tuple(max(0, part - number) for part in colour)
            Image.new("RGB", (64, 64), shade).save(folder / "pictures" / name / f"{number}.png")


def base(environment: Environment, folder: Path) -> None:
    features = make_features(80)
    texts, labels = features.vocabulary.text_vectors[:3], features.labels % 3
    names = np.array(["cat", "dog", "cow"])[labels]
    np.savez(folder / "my-clip-vectors.npz", text_vectors=texts, vectors=features.vectors, labels=names)
    environment("python", "-c", "\n".join((BLOCKS[0], BLOCKS[1], BLOCKS[3])))
    # What another machine's worker left behind.
    worker = configuration(folder, "worker", f"{CLIP}, {WEIGHTS}")
    subprocess.run(
        [sys.executable, "-m", "stream_adapter", "run", worker], check=True, capture_output=True, timeout=300
    )
    assert "red" in environment.command("anchors", "list", worker)
    assert "12 anchors" in environment.command("anchors", "export", worker, "anchors.bin")
    environment.command("dead-letters", "list", worker)
    environment.command("labels", "show", worker, "/pictures", "nothing")
    environment.command("record", worker, "anchors.jsonl", "--topic", "anchors")
    assert "written to drift.html" in environment.command("drift", "report", worker)
    kafka = folder / "kafka.yaml"
    kafka.write_text(worker.read_text().replace("transport: files", "kafka: {bootstrap_servers: 'localhost:1'}"))
    assert "no Kafka broker answered" in " ".join(environment.command("topics", "check", kafka, status=1).split())
    demo = ("demo", "--transport", "files", "--no-browser", "--output", "demo")
    evaluate = ("evaluate", "stream", "my-clip-vectors.npz")
    for command, extra in ((("run", worker), ""), (evaluate, ""), (demo, "demo]")):
        said = environment.command(*command, status=1)
        assert f"pip install 'stream-adapter[{extra}" in said, said


def page(environment: Environment, folder: Path) -> None:
    shutil.copytree(ROOT / "tests/plugins/example_plugin", folder / "plugin")
    environment("pip", "install", "--quiet", folder / "plugin")
    worker = configuration(folder, "page", f"type: colours, options: {{colours: {json.dumps(COLOURS)}}}")
    assert '"live page"' not in environment.command("run", worker)
    assert len(environment.command("anchors", "list", worker, "--json").splitlines()) == 12
    vectors = configuration(folder, "vectors", "type: vectors, options: {d: 2, fingerprint: theirs}", "today.npz")
    vectors.write_text(
        vectors.read_text().replace("{classes: [red, green], templates: none}", "{vectors: classes.npz}")
    )
    names, unit = np.array(list(COLOURS)), np.eye(2, dtype=np.float32)
    np.savez(folder / "classes.npz", class_names=names, text_vectors=unit)
    np.savez(folder / "today.npz", vectors=unit, labels=names, fingerprint="theirs")
    np.save(folder / "one.npy", unit[1])
    for command in (("validate", vectors), ("events", "try", vectors), ("run", vectors)):
        environment.command(*command)
    assert "green" in environment.command("predict", vectors, "one.npy")


def worker(environment: Environment, folder: Path) -> None:
    worker = configuration(folder, "worker", f"{CLIP}, {WEIGHTS}")
    environment.command("run", worker)
    assert len(environment.command("anchors", "list", worker, "--json").splitlines()) == 12
    environment.command("classes", "build", worker)


def evaluate(environment: Environment, folder: Path) -> None:
    features = make_features()
    np.savez(
        folder / "features.npz",
        vectors=features.vectors,
        labels=features.labels,
        class_names=np.array(features.vocabulary.class_names),
        text_vectors=features.vocabulary.text_vectors,
        logit_scale=10.0,
    )
    assert "default" in environment.command("evaluate", "stream", "features.npz", "--seeds", 1)


def demo(environment: Environment, folder: Path) -> None:
    environment.command("demo", "--transport", "files", "--output", "demo", "--no-browser")
    summary = json.loads((folder / "demo/summary.json").read_text())
    assert summary["dead_letters"] == 0
    assert summary["groups"]["canary"]["events"] >= 50
    assert (folder / "demo/accuracy.png").exists()


def s3(environment: Environment, folder: Path) -> None:
    environment("python", "-c", "from stream_adapter.references.stores import StoredPictures")


def heic(environment: Environment, folder: Path) -> None:
    environment("python", "-c", "import pillow_heif")


CHECKS: dict[str, Callable[[Environment, Path], None]] = {
    check.__name__: check for check in (base, page, demo, s3, heic, evaluate, worker)
}


def main(names: list[str]) -> None:
    """Install and run each in turn, in a folder that is removed afterwards."""
    sizes: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="extras-") as scratch:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch, str(ROOT)]
        subprocess.run(command, check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        for name in names:
            folder = Path(scratch) / name
            folder.mkdir()
            pictures(folder)
            print(f"{name} …", file=sys.stderr)
            environment = Environment(folder, wheel, name)
            CHECKS[name](environment, folder)
            sizes[name] = {"megabytes": environment.megabytes, "ran": environment.ran}
            shutil.rmtree(folder)
    assert "base" not in sizes or sizes["base"]["megabytes"] < 150, sizes  # type: ignore[index]
    print(json.dumps(sizes))


if __name__ == "__main__":
    main(sys.argv[1:] or list(CHECKS))
