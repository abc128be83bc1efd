from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.learner import Surroundings
from stream_adapter.adapter.mixture.evidence import Evidence
from tests.adapter.mixture.streams import NAMES, C, D, adapter, run, stream


@cache
def found(seed: int = 1) -> Evidence:
    taught = adapter()
    run(taught, stream(200, seed), np.arange(0, 200, 4))
    evidence: Evidence = taught._learner._labelled.evidence  # type: ignore[attr-defined]
    return evidence


def test_it_survives_the_wire_and_what_survived_is_exact():
    evidence = found()
    value = evidence.to_bytes(NAMES)
    again = Evidence.from_bytes(value, NAMES, D)
    assert again.to_bytes(NAMES) == value
    for name in ("given", "explained", "mass", "mass_explained", "total"):
        np.testing.assert_allclose(getattr(again, name), getattr(evidence, name), atol=0.02)
    np.testing.assert_allclose(again.sums, evidence.sums, atol=0.01 * evidence.mass.max())


def test_another_vocabulary_reads_it_by_name():
    value = found().to_bytes(NAMES)
    fewer = NAMES[:0:-1]
    here, there = Evidence.from_bytes(value, NAMES, D), Evidence.from_bytes(value, fewer, D)
    np.testing.assert_array_equal(there.given, here.given[:0:-1])
    for number, index in enumerate(there.classes.tolist()):
        same = C - 1 - index
        np.testing.assert_array_equal(there.sums[number], here.sums[here.classes.tolist().index(same)])


def test_it_adds_up_in_any_order():
    one, two, three = found(1), found(2), found(3)
    left, right = one + two + three, three + one + two
    assert left.events == right.events
    np.testing.assert_allclose(left.sums, right.sums)
    np.testing.assert_allclose(left.unexplained, right.unexplained)


def test_a_record_stays_small_however_many_classes_there_are():
    n, d = 5_000, 1_024
    random = np.random.default_rng(0)
    zero = np.zeros(n)
    evidence = Evidence(
        2_000,
        2_000.0,
        0.0,
        np.zeros(d),
        zero + 0.4,
        zero,
        zero + 0.6,
        zero,
        (1.0, 1.0),
        np.arange(n),
        random.normal(size=(n, d)),
    )
    names = [f"a class with a long enough name, number {index}" for index in range(n)]
    value = evidence.to_bytes(names)
    assert len(value) < 900_000
    assert Evidence.from_bytes(value, names, d).mass.sum() == pytest.approx(0.6 * n)


@settings(deadline=None)
@given(st.data())
def test_what_was_tampered_with_is_refused_or_read(data):
    value = bytearray(found().to_bytes(NAMES))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(value[: data.draw(st.integers(0, len(value)))])
    for one in (bytes(value), cut):
        try:
            evidence = Evidence.from_bytes(one, NAMES, D)
        except ValueError:
            continue
        assert np.isfinite(evidence.given).all() and np.isfinite(evidence.sums).all()


def test_records_of_workers_that_cannot_be_read_are_passed_over():
    worker = adapter(Surroundings(publishes=True))
    run(worker, stream(100, 1))
    before = worker.predict(stream(50, 2).vectors).adapted
    worker.follow((), {"evidence/other": b"no safetensors", "directions": b"{}", "unheard of": b""})
    np.testing.assert_array_equal(worker.predict(stream(50, 2).vectors).adapted, before)
