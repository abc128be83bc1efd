"""What the `evaluate` commands do: read, run with a progress bar, report."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stream_adapter import config
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.embedding import embed
from stream_adapter.evaluate.features import Features, read_features, save_features
from stream_adapter.evaluate.methods import check_methods
from stream_adapter.evaluate.page import render
from stream_adapter.evaluate.report import document, show, write_json, write_text
from stream_adapter.evaluate.results import REFERENCE
from stream_adapter.evaluate.running import Evaluation, Settings, run_all
from stream_adapter.output_file import is_standard_output


@dataclass(frozen=True, slots=True)
class Request:
    """What all protocols are asked alike: the options of the commands."""

    file: Path
    config: Path | None
    save_features: Path | None
    methods: str
    seeds: int
    jobs: int
    json: Path | None
    html: Path | None


def evaluate(request: Request, settings: Settings, console: Console, progress: Console) -> None:
    """Run a protocol and report.

    Raises:
        ConfigError: the configuration is not valid.
        EvaluationError: data, methods or settings cannot be used.
    """
    asked = check_methods(parts(request.methods))
    for path in (request.json, request.html, request.save_features):
        if path is not None and not path.absolute().parent.is_dir():
            raise EvaluationError(f"the folder of {path} does not exist; create it first")
    loaded = None if request.config is None else config.load(request.config)
    features = _features(request, loaded, progress)
    evaluation = Evaluation(
        features,
        settings,
        tuple(dict.fromkeys((REFERENCE, *asked))),
        request.seeds,
        config.AdapterConfig() if loaded is None else loaded.adapter,
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=progress, transient=True) as bar:
        task = bar.add_task("events predicted", total=len(evaluation.jobs) * settings.size(features))
        runs = run_all(evaluation, request.jobs, lambda events: bar.advance(task, events))
    report = document(evaluation, runs)
    if request.json is not None:
        write_json(request.json, report)
    if request.html is not None:
        write_text(request.html, render(evaluation, runs, report))
    outputs = [path for path in (request.json, request.html) if path is not None]
    show(evaluation, runs, progress if any(map(is_standard_output, outputs)) else console)
    for path in outputs:
        progress.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)


def parts(text: str) -> tuple[str, ...]:
    """The parts of a list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def share_or_names(text: str) -> float | tuple[str, ...]:
    """A number as a share, anything else as names with commas."""
    try:
        return float(text)
    except ValueError:
        return parts(text)


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """Numbers with commas, each at least 1.

    Raises:
        EvaluationError: something else.
    """
    found = parts(text)
    if not found or not all(part.isdecimal() and int(part) for part in found):
        raise EvaluationError(f"{option} must be whole numbers from 1 on with commas, as in 1,4,16; found {text!r}")
    return tuple(int(part) for part in found)


def _features(request: Request, loaded: config.Config | None, console: Console) -> Features:
    if request.file.suffix == ".npz":
        return read_features(request.file)
    if loaded is None:
        raise EvaluationError(
            f"{request.file} is no feature file (.npz); to embed pictures, name a configuration with their encoder and "
            "vocabulary by --config"
        )
    with console.status("loading the model …") as status:
        features = embed(request.file, loaded, status.update)
    if request.save_features is not None:
        save_features(request.save_features, features)
    return features
