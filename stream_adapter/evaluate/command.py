"""What the `evaluate` commands do: read, run with a progress bar, report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stream_adapter import config
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate import no_harm, unknown
from stream_adapter.evaluate.embedding import embed
from stream_adapter.evaluate.features import Features, read_features, save_features
from stream_adapter.evaluate.methods import check_methods
from stream_adapter.evaluate.page import render
from stream_adapter.evaluate.report import document, show, write_json, write_text
from stream_adapter.evaluate.results import REFERENCE
from stream_adapter.evaluate.running import Evaluation, Settings, run_all
from stream_adapter.evaluate.stream import StreamSettings
from stream_adapter.output_file import is_standard_output
from stream_adapter.terminal_text import escape_controls


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
    """Run a protocol and report."""
    evaluation = _evaluation(request, settings, progress)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=progress, transient=True) as bar:
        task = bar.add_task("events predicted", total=len(evaluation.jobs) * settings.size(evaluation.features))
        runs = run_all(evaluation, request.jobs, lambda events: bar.advance(task, events))
    report = document(evaluation, runs)
    shown = _write(request, report, lambda: render(evaluation, runs, report), console, progress)
    show(evaluation, runs, shown)


def evaluate_no_harm(
    request: Request, cells: str, protections: Sequence[float], console: Console, progress: Console
) -> None:
    """Run all cells and report."""
    evaluation = _evaluation(request, StreamSettings(), progress)
    along = tuple(sorted({*protections, evaluation.adapter.protection}))
    lines = []
    with progress.status("running …") as status:
        for line in no_harm.no_harm(evaluation, parts(cells), along, request.jobs):
            lines.append(line)
            status.update(f"{line.cell}: {line.method}, protection {line.protection} …")
    report = no_harm.document(lines, evaluation)
    shown = _write(request, report, lambda: no_harm.render(lines, evaluation), console, progress)
    no_harm.table(lines).show(shown)


def evaluate_unknown(
    request: Request, share: float, settings: StreamSettings, console: Console, progress: Console
) -> None:
    """Take classes out of the vocabulary, and report how well their events are told."""
    evaluation = _evaluation(request, settings, progress)
    with progress.status("running …"):
        report = unknown.compare(evaluation, share, settings)
    shown = _write(request, unknown.document(report, evaluation), str, console, progress)
    for table in unknown.tables(report, evaluation):
        table.show(shown)


def _evaluation(request: Request, settings: Settings, progress: Console) -> Evaluation:
    asked = check_methods(parts(request.methods))
    for path in (request.json, request.html, request.save_features):
        if path is not None and not path.absolute().parent.is_dir():
            raise EvaluationError(f"the folder of {path} does not exist; create it first")
    loaded = None if request.config is None else config.load(request.config)
    features = _features(request, loaded, progress)
    methods = tuple(dict.fromkeys((REFERENCE, *asked)))
    chosen = isinstance(settings, StreamSettings) and settings.select == "next"
    adapter = config.AdapterConfig(labels="chosen" if chosen else "sampled") if loaded is None else loaded.adapter
    return Evaluation(features, settings, methods, request.seeds, adapter)


def _write(
    request: Request, report: dict[str, Any], page: Callable[[], str], console: Console, progress: Console
) -> Console:
    """Write the reports; the console that is free for tables."""
    if request.json is not None:
        write_json(request.json, report)
    if request.html is not None:
        write_text(request.html, page())
    outputs = [path for path in (request.json, request.html) if path is not None]
    for path in outputs:
        progress.print(escape_controls(f"written: {path}"), highlight=False, markup=False, soft_wrap=True)
    return progress if any(map(is_standard_output, outputs)) else console


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
    """Numbers with commas, each at least 1."""
    found = parts(text)
    if not found or not all(part.isdecimal() and int(part) for part in found):
        raise EvaluationError(f"{option} must be whole numbers from 1 on with commas, as in 1,4,16; found {text!r}")
    return tuple(int(part) for part in found)


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Protections with commas."""
    try:
        found = tuple(float(part) for part in parts(text))
        for value in found:
            config.AdapterConfig(protection=value)
    except ValueError as error:
        raise EvaluationError(f"{option} must be numbers from 0 to 10 with commas, found {text!r}") from error
    return found


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
