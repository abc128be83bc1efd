"""What every detector promises, whatever it detects."""

import dataclasses
import importlib
import inspect
import itertools
import json
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter import drift
from stream_adapter.drift.adwin import Adwin
from stream_adapter.drift.detector import Signal, State
from stream_adapter.drift.embedding_shift import EmbeddingShift
from stream_adapter.drift.harm import HarmDetector
from stream_adapter.drift.label_mix import LabelMixShift
from stream_adapter.drift.new_class import NewClassNamer
from stream_adapter.drift.novelty import NoveltyRate


class Detector(Protocol):
    """What the monitors expect of a detector."""

    @property
    def observed(self) -> int:
        """Values since the start, or since the last signal."""

    @property
    def enough(self) -> bool:
        """Whether so many values have been seen that silence means something."""

    def observe(self, values: np.ndarray) -> list[Signal]:
        """Take in a batch, one event per row; after a signal the detector starts anew with the next row."""

    def state(self) -> State:
        """Everything needed to go on, as JSON values."""

    def restore(self, state: State) -> None:
        """Go on from `state`, which a detector with the same settings handed out."""


@dataclass(frozen=True)
class Case:
    """A detector with a stream that is calm for `calm` rows and then gives it reason to alarm."""

    make: Callable[[], Detector]
    draw: Callable[[np.random.Generator, int, bool], np.ndarray]
    calm: int = 800
    changed: int = 700

    def stream(self, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return np.concatenate([self.draw(rng, self.calm, False), self.draw(rng, self.changed, True)])


def _differences(rng: np.random.Generator, rows: int, changed: bool) -> np.ndarray:
    return rng.choice([-1, 0, 1], rows, p=[0.3, 0.68, 0.02] if changed else [0.02, 0.96, 0.02])


def _hits(rng: np.random.Generator, rows: int, changed: bool) -> np.ndarray:
    return (rng.random(rows) < (0.3 if changed else 0.9)).astype(float)


def _vectors(rng: np.random.Generator, rows: int, changed: bool) -> np.ndarray:
    return (rng.standard_normal((rows, 8)) + (2.0 if changed else 0.0)).astype(np.float32)


def _beliefs(rng: np.random.Generator, rows: int, changed: bool) -> np.ndarray:
    tops = rng.choice(4, rows, p=[0.1, 0.1, 0.1, 0.7] if changed else [0.7, 0.1, 0.1, 0.1])
    return (0.9 * np.eye(4)[tops] + 0.1 * rng.dirichlet(np.ones(4), rows)).astype(np.float32)


def _matching_and_novelty(rng: np.random.Generator, rows: int, changed: bool) -> np.ndarray:
    return np.stack([rng.normal(0.6 if changed else 0.8, 0.05, rows), rng.normal(0.3, 0.05, rows)], axis=1)


class _NamerOfRows(NewClassNamer):
    """The namer, with beliefs as rows of one array: four classes, two of them known, a third of the events labelled."""

    def observe(self, values: np.ndarray) -> list[Signal]:  # type: ignore[override]
        numbers = self._seen + np.arange(len(values))
        labelled = (numbers % 3 == 0) & (values[:, :2].max(axis=1, initial=0.0) > 0.5)
        known = np.array([True, True, False, False])
        found = super().observe(values.astype(np.float32), labelled, known, [str(number) for number in numbers])
        return [Signal(one.row, one.events, since=one.window, subject=one.index) for one in found]


def _beliefs_with_a_newcomer(rng: np.random.Generator, rows: int, changed: bool) -> np.ndarray:
    tops = np.where(rng.random(rows) < 0.05, 2, 0) if changed else rng.integers(0, 2, rows)
    confidence = rng.uniform(0.7, 0.9, rows)[:, None]
    noise = rng.dirichlet([8.0, 8.0, 0.5, 0.5], rows)
    return (confidence * np.eye(4)[tops] + (1.0 - confidence) * noise).astype(np.float32)


CASES = {
    "HarmDetector": Case(HarmDetector, _differences),
    "Adwin": Case(Adwin, _hits),
    "EmbeddingShift": Case(lambda: EmbeddingShift(reference=100, seed=3), _vectors),
    "LabelMixShift": Case(lambda: LabelMixShift(reference=100, seed=3), _beliefs),
    "NoveltyRate": Case(lambda: NoveltyRate(reference=100, seed=3), _matching_and_novelty),
    "NewClassNamer": Case(lambda: _NamerOfRows(4), _beliefs_with_a_newcomer, calm=1_300, changed=400),
}


def _detector_classes() -> Iterator[str]:
    """Every class of the package that has what a detector has."""
    wanted = {name for name in vars(Detector) if not name.startswith("_")}
    for module in pkgutil.iter_modules(drift.__path__, f"{drift.__name__}."):
        for name, kind in vars(importlib.import_module(module.name)).items():
            own = isinstance(kind, type) and kind.__module__ == module.name
            if own and not inspect.isabstract(kind) and wanted <= set(dir(kind)):
                yield name


def test_every_detector_is_tried() -> None:
    assert set(_detector_classes()) == set(CASES)


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def _feed(detector: Detector, stream: np.ndarray, sizes: list[int]) -> list[Signal]:
    """Signals with rows counted over the whole stream."""
    signals: list[Signal] = []
    start = 0
    for size in itertools.cycle(sizes):
        if start >= len(stream):
            break
        found = detector.observe(stream[start : start + size])
        signals.extend(dataclasses.replace(signal, row=start + signal.row) for signal in found)
        start += size
    return signals


def _assert_same(first: list[Signal], second: list[Signal]) -> None:
    assert [(s.row, s.observed, s.since, s.subject) for s in first] == [
        (s.row, s.observed, s.since, s.subject) for s in second
    ]
    for one, other in zip(first, second, strict=True):
        assert (one.e_value or 0.0) == pytest.approx(other.e_value or 0.0, rel=1e-6)
        assert dict(one.details) == pytest.approx(dict(other.details), rel=1e-6)


def test_finds_the_change_and_nothing_before(case: Case) -> None:
    signals = _feed(case.make(), case.stream(), [64])
    assert signals
    assert all(case.calm <= signal.row < case.calm + 400 for signal in signals[:1])


def test_event_wise_and_batch_wise_agree(case: Case) -> None:
    stream = case.stream()
    expected = _feed(case.make(), stream, [len(stream)])
    for sizes in ([1], [64], [7, 1, 130]):
        _assert_same(_feed(case.make(), stream, sizes), expected)


@settings(deadline=None, max_examples=6)
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=6), name=st.sampled_from(list(CASES)))
def test_any_split_into_batches_agrees(sizes: list[int], name: str) -> None:
    stream = CASES[name].stream(seed=1)
    _assert_same(_feed(CASES[name].make(), stream, sizes), _feed(CASES[name].make(), stream, [64]))


def test_is_seeded(case: Case) -> None:
    assert _feed(case.make(), case.stream(), [64]) == _feed(case.make(), case.stream(), [64])


def test_does_not_change_its_input(case: Case) -> None:
    stream = case.stream()
    copy = stream.copy()
    _feed(case.make(), stream, [64])
    assert np.array_equal(stream, copy)


@pytest.mark.parametrize("cut", [0, 50, 333, 810, 1_200])
def test_restored_from_json_it_goes_on_as_if_nothing_had_happened(case: Case, cut: int) -> None:
    stream, original = case.stream(), case.make()
    _feed(original, stream[:cut], [64])
    restored = case.make()
    restored.restore(json.loads(json.dumps(original.state(), allow_nan=False)))
    assert restored.observed == original.observed
    assert _feed(restored, stream[cut:], [64]) == _feed(original, stream[cut:], [64])
    assert restored.state() == original.state()


def test_pickles(case: Case) -> None:
    stream, original = case.stream(), case.make()
    _feed(original, stream[:700], [64])
    copy = pickle.loads(pickle.dumps(original))
    assert _feed(copy, stream[700:], [64]) == _feed(original, stream[700:], [64])


def test_memory_is_bounded(case: Case) -> None:
    detector = case.make()
    rng = np.random.default_rng(5)
    sizes = []
    for _ in range(3):
        _feed(detector, case.draw(rng, 4_000, False), [500])
        sizes.append(len(json.dumps(detector.state())))
    assert sizes[2] < 1.3 * sizes[1] + 200


def test_constant_input_never_alarms(case: Case) -> None:
    row = case.stream()[:1]
    if row.ndim == 1:
        row = np.zeros_like(row)
    assert _feed(case.make(), np.repeat(row, 5_000, axis=0), [500]) == []


def test_nothing_is_nothing(case: Case) -> None:
    detector = case.make()
    assert detector.observe(case.stream()[:0]) == []
    assert detector.observed == 0
    assert not detector.enough


def test_says_when_there_is_enough(case: Case) -> None:
    detector = case.make()
    detector.observe(case.stream()[:30])
    assert not detector.enough
    detector.observe(case.stream()[30 : case.calm])
    assert detector.enough
