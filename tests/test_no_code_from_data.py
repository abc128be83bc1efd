"""Nothing that the package reads can run: no pickle, no unsafe loader, no eval, no shell, in any of its files."""

import ast
import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from stream_adapter.config import VocabularyConfig, parse
from stream_adapter.encode.prompts import class_prompts
from stream_adapter.encode.vocabulary_file import VocabularyFile
from stream_adapter.errors import ConfigError, EvaluationError, SnapshotError, StreamAdapterError, VocabularyError
from stream_adapter.evaluate.features import read_features
from stream_adapter.snapshots import Snapshot
from tests.encode.test_towers import Payload

PACKAGE = Path(__file__).parents[1] / "stream_adapter"

# What can run what it reads, by the module that has it. A module with a star must not be imported at all.
FORBIDDEN = {
    "*": {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle", "pty"},
    "builtins": {"eval", "exec", "compile", "__import__"},
    "os": {"system", "popen"},
    "subprocess": {"getoutput", "getstatusoutput"},
    "yaml": {"unsafe_load", "unsafe_load_all", "full_load", "full_load_all", "load_all", "UnsafeLoader", "FullLoader"},
    "torch": {"jit.load", "hub.load"},
    "numpy": {"fromregex"},
}
SAFE_LOADERS = {("yaml_text.py", "_Loader")}  # a SafeLoader that refuses repeated keys
SHOWN_TO_BE_DATA = {
    # hnswlib's own copy of an index, as a dictionary of arrays: `_checked` looks at each before it is used.
    ("adapter/graph_state.py", "__getstate__"),
    ("adapter/graph_state.py", "__setstate__"),
}


def findings(source: str, name: str = "file.py") -> Iterator[str]:
    """What in a file could run data, with its line."""
    tree = ast.parse(source)
    names = imported_names(tree)
    for node in ast.walk(tree):
        for module in modules_of(node):
            if module.partition(".")[0] in FORBIDDEN["*"]:
                yield f"{name}:{node.lineno}: imports {module}"
        if isinstance(node, ast.Attribute | ast.Name):
            called = full_name(node, names)
            module, _, rest = called.partition(".")
            if rest in FORBIDDEN.get(module, ()) or (called in FORBIDDEN["builtins"] and isinstance(node, ast.Name)):
                yield f"{name}:{node.lineno}: {called}"
            if called.endswith(("__reduce__", "__setstate__", "__getstate__")):
                attribute = called.rpartition(".")[2]
                if (name, attribute) not in SHOWN_TO_BE_DATA:
                    yield f"{name}:{node.lineno}: {called}"
        if isinstance(node, ast.Call):
            yield from call_findings(node, full_name(node.func, names), name)


def call_findings(call: ast.Call, called: str, name: str) -> Iterator[str]:
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    where = f"{name}:{call.lineno}: {called}"
    if called == "torch.load" and not is_constant(keywords.get("weights_only"), True):
        yield f"{where} without weights_only=True"
    if called in ("numpy.load", "np.load") and not is_constant(keywords.get("allow_pickle"), False):
        yield f"{where} without allow_pickle=False"
    if called == "yaml.load":
        loader = keywords.get("Loader", call.args[1] if len(call.args) > 1 else None)
        known = ast.unparse(loader) if loader is not None else ""
        if known not in ("yaml.SafeLoader", "yaml.CSafeLoader") and (name, known) not in SAFE_LOADERS:
            yield f"{where} with {known or 'no loader'}"
    if "shell" in keywords and not is_constant(keywords["shell"], False):
        yield f"{where} with a shell"
    if "trust_remote_code" in keywords:
        yield f"{where} with trust_remote_code"


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def modules_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def imported_names(tree: ast.AST) -> dict[str, str]:
    """What a name in this file stands for: `np` for `numpy`, `load` for `yaml.load`."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def full_name(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value, names)}.{node.attr}"
    return ""


def test_no_file_of_the_package_can_run_what_it_reads() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    found = [finding for file in files for finding in findings(file.read_text(), str(file.relative_to(PACKAGE)))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch; torch.load(f)",
        "import torch; torch.load(f, weights_only=False)",
        "from torch import load as get; get(f)",
        "import numpy as np; np.load(f)",
        "import numpy; numpy.load(f, allow_pickle=True)",
        "import yaml; yaml.load(t, yaml.Loader)",
        "import yaml; yaml.load(t)",
        "from yaml import unsafe_load; unsafe_load(t)",
        "eval(t)",
        "exec(t)",
        "import os; os.system(t)",
        "import subprocess; subprocess.run(t, shell=True)",
        "import subprocess as s; s.Popen(t, shell=flag)",
        "AutoModel.from_pretrained(n, trust_remote_code=True)",
        "thing.__setstate__(data)",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert list(findings(source))


@pytest.mark.parametrize(
    "source",
    [
        "import torch; torch.load(f, weights_only=True)",
        "import numpy as np; np.load(f, allow_pickle=False)",
        "import yaml; yaml.safe_load(t); yaml.load(t, yaml.SafeLoader)",
        "model.eval(); re.compile(t); json.load(f)",
        "import subprocess; subprocess.run(['a', 'b'], check=True)",
    ],
)
def test_and_nothing_else(source: str) -> None:
    assert list(findings(source)) == []


def hostile_npz(path: Path, names: tuple[str, ...], mark: Path) -> Path:
    """An archive whose arrays are pickles that create `mark` when they are read."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            buffer = io.BytesIO()
            trap = np.empty(1, object)
            trap[0] = Payload(mark)
            np.lib.format.write_array(buffer, trap, allow_pickle=True)
            archive.writestr(f"{name}.npy", buffer.getvalue())
    return path


def test_a_hostile_vocabulary_or_feature_file_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = hostile_npz(tmp_path / "hostile.npz", ("class_names", "text_vectors", "vectors", "labels"), mark)
    with np.load(path, allow_pickle=True) as trap:
        trap["class_names"]
    assert mark.exists(), "the trap works"
    mark.unlink()
    for read, error in ((VocabularyFile.read, VocabularyError), (read_features, EvaluationError)):
        with pytest.raises(error):
            read(path)
    raw = tmp_path / "raw.npz"
    raw.write_bytes(pickle.dumps(Payload(mark)))
    for read, error in ((VocabularyFile.read, VocabularyError), (read_features, EvaluationError)):
        with pytest.raises(error):
            read(raw)
    assert not mark.exists()


@pytest.mark.parametrize("form", ["pickle", "torch", "npz"])
def test_a_hostile_snapshot_runs_nothing(tmp_path: Path, form: str) -> None:
    mark, path = tmp_path / "ran", tmp_path / "snapshot-00000001.bin"
    if form == "npz":
        hostile_npz(path, ("anchors.vectors",), mark)
    elif form == "torch":
        torch.save(Payload(mark), path)
    else:
        path.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(SnapshotError):
        Snapshot.read(path)
    assert not mark.exists()


YAML_TRAPS = (
    "!!python/object/apply:os.system ['touch MARK']",
    "!!python/name:os.system",
    "!!python/object/new:int [1]",
)


@pytest.mark.parametrize("trap", YAML_TRAPS)
def test_hostile_yaml_runs_nothing(tmp_path: Path, trap: str) -> None:
    mark = tmp_path / "ran"
    text = trap.replace("MARK", str(mark))
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        parse(f"encoder: {text}\n")
    classes = tmp_path / "classes.yaml"
    classes.write_text(f"dog: {text}\n")
    with pytest.raises(StreamAdapterError):
        class_prompts(VocabularyConfig(classes_file=classes))
    assert not mark.exists()
