import math

import numpy as np
import pytest
from scipy import stats

from stream_adapter.evaluate.results import (
    Figures,
    Interval,
    Outcome,
    Run,
    Sample,
    by_domain,
    harmonic,
    plain,
    rows,
    t_quantile,
)
from stream_adapter.evaluate.scores import judge


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 10, 19, 60, 1000])
def test_the_quantiles_are_those_of_student(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=2e-4)


def test_an_interval_by_hand() -> None:
    # Mean 0.5, standard deviation 0.1, three values: half the width is 4.3027 · 0.1 / √3.
    interval = Interval.of([0.4, 0.5, 0.6])
    assert interval.mean == pytest.approx(0.5)
    assert interval.high - interval.mean == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-4)


def test_an_interval_in_words() -> None:
    assert Interval(0.5, 0.4, 0.55).points() == "50.0 ±10.0"
    assert Interval(0.5, 0.5, 0.5).points("+") == "+50.0"
    assert Interval(math.nan, math.nan, math.nan).points() == "–"


def test_json_has_no_number_for_what_is_none() -> None:
    assert plain({"a": [math.nan, 1 / 3], "b": (1, "x")}) == {"a": [None, 0.333333], "b": [1, "x"]}


def test_an_interval_of_one_value_or_none() -> None:
    assert Interval.of([0.7]) == Interval(0.7, 0.7, 0.7)
    assert math.isnan(Interval.of([float("nan")]).mean)
    assert Interval.of([0.7, float("nan")]) == Interval(0.7, 0.7, 0.7)


def test_an_interval_stays_within_what_an_accuracy_can_be() -> None:
    interval = Interval.of([0.0, 1.0])
    assert (interval.low, interval.high) == (0.0, 1.0)
    assert Interval.of([0.0, 0.01], least=-1.0).low < 0.0


def test_rows_have_one_entry_per_seed_in_their_order() -> None:
    def run(method: str, seed: int, accuracy: float) -> Run:
        return Run(method, seed, 0.0, Outcome([Sample("labelled", "all", Figures(10, accuracy))]))

    first, second = rows([run("a", 1, 0.5), run("b", 0, 1.0), run("a", 0, 0.7)])
    assert (first.method, second.method) == ("a", "b")
    assert [figures.accuracy for figures in first.per_seed] == [0.7, 0.5]
    assert first.mean("accuracy") == pytest.approx(0.6)
    assert math.isnan(first.mean("ece"))


def test_figures_of_nothing_are_unknown() -> None:
    nothing = judge(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    assert Figures.of_stream(nothing).events == 0
    assert math.isnan(Figures.of(nothing).accuracy)


def test_one_domain_is_not_listed_beside_all() -> None:
    members = np.array([True, False, True])
    assert [name for name, _ in by_domain(members, np.array(["x", "x", "x"]))] == ["all"]
    split = dict(by_domain(members, np.array(["y", "x", "x"])))
    assert list(split) == ["all", "y", "x"]
    assert split["x"].tolist() == [False, False, True]


def test_the_harmonic_mean() -> None:
    assert harmonic(0.9, 0.6) == pytest.approx(0.72)
    assert harmonic(0.0, 0.0) == 0.0
