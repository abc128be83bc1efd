"""Each event has one outcome and each label one effect, whatever happens to a group of workers, and in any order.

`tests/faults` asks the same of real processes on a real broker, an interleaving or two a second; here it is thousands.
"""

from pathlib import Path

import pytest

from stream_adapter.service.pipeline import Pipeline
from tests.service.simulated_group import Simulation


@pytest.mark.parametrize("late", [False, True], ids=["", "late"])
@pytest.mark.parametrize("seed", range(30))
def test_each_event_has_one_outcome_and_each_label_one_effect(
    seed: int, late: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Simulation(seed, monkeypatch, tmp_path, budget=20 if seed % 4 == 0 else 1_000, late=late).run() == []


@pytest.mark.parametrize("without", ["leaving", "_undo"])
def test_it_finds_what_it_looks_for(without: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Pipeline, without, property(lambda _: False) if without == "leaving" else lambda *_: None)
    assert any(Simulation(seed, monkeypatch, tmp_path / str(seed)).run() for seed in range(20))
