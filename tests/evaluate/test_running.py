import dataclasses

import numpy as np
import pytest

from stream_adapter.config import AdapterConfig
from stream_adapter.evaluate.report import document
from stream_adapter.evaluate.running import Evaluation, run_all
from stream_adapter.evaluate.stream import StreamSettings
from tests.evaluate.data import make_features

EVALUATION = Evaluation(make_features(), StreamSettings(events=200), ("zero-shot", "knn"), 2, AdapterConfig())


def test_progress_counts_every_event() -> None:
    seen: list[int] = []
    runs = run_all(EVALUATION, 1, seen.append)
    assert sum(seen) == 2 * 2 * 200
    assert [(run.method, run.seed) for run in runs] == [("zero-shot", 0), ("knn", 0), ("zero-shot", 1), ("knn", 1)]


def test_adding_a_method_changes_nothing_for_the_others() -> None:
    few = run_all(EVALUATION, 1, lambda events: None)
    more = run_all(dataclasses.replace(EVALUATION, methods=("zero-shot", "slda", "knn")), 1, lambda events: None)
    for run in few:
        other = next(other for other in more if (other.method, other.seed) == (run.method, run.seed))
        assert run.outcome.samples == other.outcome.samples


@pytest.mark.slow
def test_processes_find_what_one_process_finds() -> None:
    alone = run_all(EVALUATION, 1, lambda events: None)
    together = run_all(EVALUATION, 2, lambda events: None)
    for first, second in zip(alone, together, strict=True):
        assert (first.method, first.seed) == (second.method, second.seed)
        assert first.outcome.samples == second.outcome.samples
        assert first.outcome.trace is not None
        assert second.outcome.trace is not None
        np.testing.assert_array_equal(first.outcome.trace.answers.predicted, second.outcome.trace.answers.predicted)


def test_every_row_says_what_zero_shot_does_there() -> None:
    report = document(EVALUATION, run_all(EVALUATION, 1, lambda events: None))
    rows = {(row["method"], row["group"], row["domain"]): row for row in report["results"]}
    for (method, group, domain), row in rows.items():
        assert row["before"]["ece"] == rows["zero-shot", group, domain]["ece"], (method, group, domain)
