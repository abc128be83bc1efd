import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.page.history import SPANS, History, Span


def test_a_sample_is_there_in_every_span() -> None:
    history = History(["a", "b"])
    history.add(10_000, [1.0, float("nan")])
    for span in SPANS:
        shown = history.since(span.name)
        assert (shown["a"], shown["b"]) == ([1.0], [None])
        assert shown["time_ms"] == [10_000 // (span.step_s * 1000) * span.step_s * 1000]


def test_a_bucket_is_the_mean_of_what_was_there() -> None:
    history = History(["a"], [Span("x", 10, 5)])
    for time_ms, value in ((0, 1.0), (4_000, float("nan")), (9_999, 3.0), (10_000, 8.0)):
        history.add(time_ms, [value])
    assert history.since("x")["a"] == [2.0, 8.0]


def test_what_grew_since_is_asked_for_by_its_own_time() -> None:
    history = History(["a"], [Span("x", 10, 5)])
    for second in range(0, 60, 10):
        history.add(second * 1000, [float(second)])
    assert history.since("x", 40_000)["a"] == [40.0, 50.0]


def test_an_unknown_span_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        History(["a"]).since("3 weeks")


@given(st.lists(st.integers(0, 5_000), max_size=300), st.integers(1, 20))
def test_it_is_bounded_and_in_order_whatever_comes(steps: list[int], points: int) -> None:
    history = History(["a"], [Span("x", 2, points)])
    buckets: dict[int, list[float]] = {}
    now_ms = 0
    for number, step in enumerate(steps):
        now_ms += step
        history.add(now_ms, [float(number)])
        buckets.setdefault(now_ms // 2_000 * 2_000, []).append(float(number))
    shown = history.since("x")
    kept = sorted(buckets)[-points:]
    assert shown["time_ms"] == kept
    assert shown["a"] == pytest.approx([np.mean(buckets[time]) for time in kept], rel=1e-4)


def test_a_whole_span_is_small() -> None:
    history = History([f"column_{number}" for number in range(12)])
    for second in range(1_000):
        history.add(second * 1000, list(np.random.default_rng(second).normal(size=12) * 1e4))
    answer: dict[str, Any] = history.since("15m")
    assert len(answer["time_ms"]) == 450
    assert len(json.dumps(answer)) < 60_000
