"""Each event has one outcome and each label one effect, whatever happens to a group of workers, and in any order.

`tests/faults` asks the same of real processes on a real broker, a fault every eight seconds; here a life takes one.
"""

from pathlib import Path

import pytest

from stream_adapter.service.pipeline import Pipeline
from stream_adapter.service.worker import Worker
from tests.service.simulated_group import Simulation


@pytest.mark.parametrize("late", [False, True], ids=["", "late"])
@pytest.mark.parametrize("seed", range(30))
def test_each_event_has_one_outcome_and_each_label_one_effect(
    seed: int, late: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Simulation(seed, monkeypatch, tmp_path, budget=20 if seed % 4 == 0 else 1_000, late=late).run() == []


@pytest.mark.parametrize("without", ["leaving", "_undo", "again", "_left"])
def test_it_finds_what_it_looks_for(without: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commit, seeds = Pipeline._commit, range(20)
    match without:
        case "leaving":  # events that came back wait until what they taught is taken back
            monkeypatch.setattr(Pipeline, "leaving", property(lambda _: False))
        case "_undo":
            monkeypatch.setattr(Pipeline, "_undo", lambda *_: None)
        case "again":  # a sink in doubt is asked again, also where nothing of the commit is left
            monkeypatch.setattr(Pipeline, "_commit", lambda self, attempt, again: commit(self, attempt, again=False))
            seeds = range(30, 40)
        case "_left":  # labels of a partition that came back are read anew
            monkeypatch.setattr(Worker, "_left", property(lambda _: frozenset(), lambda *_: None), raising=False)
    lives = (Simulation(seed, monkeypatch, tmp_path / str(seed), late=without == "_left") for seed in seeds)
    assert any(life.run() for life in lives)
