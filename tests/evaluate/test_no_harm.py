"""`evaluate no-harm`: cells, lines along the protection, the worst class."""

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stream_adapter.config import AdapterConfig
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.command import Request, evaluate_no_harm
from stream_adapter.evaluate.draws import draw_look_alikes
from stream_adapter.evaluate.features import Features, save_features
from stream_adapter.evaluate.no_harm import CELLS, ENOUGH, Line, _Draw, _worst, no_harm, settings_of
from stream_adapter.evaluate.running import Evaluation
from stream_adapter.evaluate.stream import StreamSettings
from tests.evaluate.data import CLASSES, make_features


def lines(features: Features, methods: tuple[str, ...], cells: tuple[str, ...], along: tuple[float, ...]) -> list[Line]:
    evaluation = Evaluation(features, StreamSettings(), methods, 2, AdapterConfig())
    return list(no_harm(evaluation, cells, along, 1))


def test_every_cell_has_a_line_for_each_method_and_protection(tmp_path: Path) -> None:
    save_features(tmp_path / "made.npz", make_features(120))
    shown, report, page = Console(record=True, width=200), tmp_path / "found.json", tmp_path / "found.html"
    request = Request(tmp_path / "made.npz", None, None, "tip-adapter", 2, 1, report, page)
    evaluate_no_harm(request, ",".join(CELLS), (0.0, 1.0), shown, Console(quiet=True))
    found = json.loads(report.read_text())["lines"]
    along = sorted({0.0, 1.0, AdapterConfig().protection})
    of_method = [(line["cell"], line["protection"]) for line in found if line["method"] == "tip-adapter"]
    assert of_method == [(cell, protection) for cell in CELLS for protection in along]
    text = shown.export_text()
    for cell in CELLS:
        assert cell in text
    assert "<svg" in page.read_text() and "tip-adapter" in page.read_text()
    reference = [line for line in found if line["method"] == "zero-shot"]
    assert len(reference) == len(CELLS) and all(line["gain"]["mean"] == 0.0 for line in reference)
    none = [line for line in found if line["cell"] == "no label"]
    assert all(line["gain"]["mean"] == 0.0 for line in none), "without a label a cache is zero-shot"


def test_more_protection_costs_labelled_classes_and_spares_the_others() -> None:
    features = make_features(400, shift=1.5)
    found = lines(features, ("tip-adapter",), ("plain",), (0.0, 0.5, 10.0))
    gains, changes = [line.gain.mean for line in found], [line.change.mean for line in found]
    assert gains[0] > gains[1] > gains[2], gains
    assert changes[0] < changes[2] == 0.0, changes


def test_look_alikes_have_their_likeness_among_the_labelled() -> None:
    features = make_features(240)
    labels = features.labels
    vectors = np.where((labels == 1)[:, None], features.vectors[np.flatnonzero(labels == 0)[0]], features.vectors)
    alike = Features(vectors.astype(np.float32), labels, features.domains, features.vocabulary, "alike")
    drawn = {tuple(draw_look_alikes(alike, 0.2, seed).tolist()) for seed in range(20)}
    assert drawn == {(0,), (1,)}
    assert len(draw_look_alikes(features, 0.9, 0)) == len(CLASSES) // 2


def test_the_worst_class_is_one_with_enough_events_where_there_is_one() -> None:
    truth = np.repeat([0, 1, 2], [ENOUGH, ENOUGH, 10])
    before = np.ones(len(truth), np.bool_)
    after = before & (truth != 2)
    after[:20] = False
    of = _Draw(truth, before, before, after, None)
    worst = _worst([of], CLASSES)
    assert (worst.name, worst.events, worst.change) == (CLASSES[0], ENOUGH, -0.1)
    assert worst.low == pytest.approx(-0.1 - 1.96 * np.sqrt(0.09 / ENOUGH)) and worst.high < 0.0
    few = _worst([of._replace(**{name: getattr(of, name)[-15:] for name in of._fields[:4]})], CLASSES)
    assert (few.name, few.events) == (CLASSES[2], 10)


def test_domains_come_one_after_the_other_and_recorded_is_the_file() -> None:
    features = make_features(60)
    recorded, plain = settings_of(features, "recorded"), settings_of(features, "plain")
    assert (recorded.order, recorded.events) == ("recorded", 60)
    assert (plain.order, plain.events) == ("by-domain", 2_400)
    with pytest.raises(EvaluationError, match="unknown cell 'rares'; known are plain"):
        settings_of(features, "rares")
