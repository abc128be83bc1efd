import json
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.adapter.mixture.evidence import Evidence
from stream_adapter.adapter.mixture.shared_evidence import SharedEvidence
from stream_adapter.errors import SnapshotError
from tests.adapter.mixture.streams import NAMES, TEXTS, C, D, adapter, run, stream


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
    assert evidence.surest.max() > 0.5
    for name in ("given", "explained", "mass", "mass_explained", "total", "sure", "moves", "surest"):
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
    assert found().sure.sum() > 0 and np.abs(found().moves).sum() > 0
    names = ("events", "weight", "labelled", "total", "given", "explained", "mass", "mass_explained", "spread")
    for name in (*names, "sure", "moves"):
        parts = [np.asarray(getattr(each, name)) for each in (one, two, three)]
        np.testing.assert_allclose(getattr(left, name), sum(parts))
    np.testing.assert_array_equal(left.surest, np.max([each.surest for each in (one, two, three)], axis=0))
    nothing = one + Evidence.none(C, D)
    for name in (*names, "sure", "moves", "surest", "classes", "sums"):
        np.testing.assert_array_equal(getattr(nothing, name), getattr(one, name))


def test_it_says_how_sure_zero_shot_was_of_each_class_at_most():
    events = stream(200, 1)
    logits = 20.0 * events.vectors @ TEXTS.T
    zero_shot = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    evidence = found(1)
    kept = evidence.given >= 0.02
    np.testing.assert_allclose(evidence.surest[kept], zero_shot.max(axis=0)[kept], rtol=1e-4)


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
        surest=zero + 0.5,
    )
    names = [f"a class with a long enough name, number {index}" for index in range(n)]
    value = evidence.to_bytes(names)
    assert len(value) < 900_000
    assert Evidence.from_bytes(value, names, d).mass.sum() == pytest.approx(0.6 * n)


def test_the_means_that_find_room_in_a_record_are_those_of_the_largest_classes():
    n, d = 1_000, 1_024
    zero, mass = np.zeros(n), np.random.default_rng(0).permutation(n) + 1.0
    sums = np.full((n, d), 0.5) * mass[:, None]
    evidence = Evidence(
        2_000, 2_000.0, 0.0, np.zeros(d), mass, zero, mass, zero, (1.0, 1.0), np.arange(n), sums, surest=zero
    )
    names = [f"class {index}" for index in range(n)]
    kept = Evidence.from_bytes(evidence.to_bytes(names), names, d).classes
    assert 300 < len(kept) < n
    assert mass[kept].min() > np.delete(mass, kept).max()


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


def _first_is(name: str, value: float) -> Any:
    def damaged(arrays: dict[str, Any]) -> dict[str, Any]:
        changed = arrays[name].copy()
        changed.reshape(-1)[0] = value
        return {**arrays, name: changed}

    return damaged


def _facts(**more: Any) -> Any:
    def damaged(arrays: dict[str, Any]) -> dict[str, Any]:
        facts = {**json.loads(arrays["facts"].tobytes()), **more}
        return {**arrays, "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}

    return damaged


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(
            lambda arrays, to=dtype: {**arrays, "with_mean": arrays["with_mean"].astype(to)}, "do not fit", id=dtype
        )
        for dtype in ("int64", "uint32")
    ]
    + [
        pytest.param(lambda arrays: {**arrays, "means": arrays["means"].astype("int16")}, "do not fit", id="means"),
        *(
            pytest.param(
                lambda arrays, name=name: {**arrays, name: arrays[name][:-1]}, "do not fit", id=f"short {name}"
            )
            for name in ("columns", "total", "means", "scale", "with_mean", "sure", "moves")
        ),
        pytest.param(_first_is("with_mean", 1), "do not fit", id="a class twice"),
        pytest.param(_first_is("with_mean", C), "do not fit", id="a class too many"),
        pytest.param(_first_is("with_mean", -1), "do not fit", id="a class below"),
        *(
            pytest.param(_first_is(name, np.nan), "do not fit", id=name)
            for name in ("columns", "total", "scale", "moves")
        ),
        pytest.param(_first_is("columns", -0.5), "out of range", id="less than nothing"),
        pytest.param(_first_is("columns", 2e15), "out of range", id="too much"),
        pytest.param(lambda arrays: {**arrays, "moves": arrays["moves"] - 1.0}, "out of range", id="a square below 0"),
        pytest.param(_facts(classes=[*NAMES[:-1], NAMES[0]]), "do not fit", id="a name twice"),
        pytest.param(_facts(classes=[*NAMES[:-1], 7]), "do not fit", id="no name"),
        pytest.param(_facts(spread=[1.0, 1.0, 1.0]), "do not fit", id="spread"),
        *(pytest.param(_facts(**{name: -1}), "do not fit", id=name) for name in ("events", "weight", "labelled")),
        pytest.param(_facts(weight=1e15), "do not fit", id="weight too large"),
        pytest.param(_facts(events=10**400), "cannot be read|inf", id="400 digits"),
        pytest.param(
            lambda arrays: {**arrays, "total": np.full(D, 1e300)}, "out of range", id="more than all unit vectors"
        ),
        pytest.param(lambda arrays: {**arrays, "scale": arrays["scale"] * 1e9}, "out of range", id="scale"),
        pytest.param(_facts(format=99), "has the format 99, this version reads", id="format"),
    ],
)
def test_a_record_whose_parts_do_not_fit_is_refused_with_the_reason(damage: Any, reason: str):
    arrays = load(found().to_bytes(NAMES))
    assert arrays["with_mean"][:2].tolist() == [0, 1]
    with pytest.raises(ValueError, match=reason):
        Evidence.from_bytes(save(damage(arrays)), NAMES, D)


def test_the_saved_records_of_workers_must_fit_each_other():
    shared = SharedEvidence("evidence/", Classes(tuple(NAMES), TEXTS, 20.0), LearnerContext(slot="a"), 1.0)
    shared.follow({"evidence/a": found(1).to_bytes(NAMES), "evidence/b": found(2).to_bytes(NAMES)})
    state, before = shared.state(), shared.digest
    for name, of in {"ends": state["ends"][:-1], "values": state["values"][:-1]}.items():
        with pytest.raises(SnapshotError, match="one value for each key"):
            shared.restore({**state, name: of})
    with pytest.raises(SnapshotError, match="one value for each key"):
        shared.restore({**state, "ends": state["ends"][::-1].copy()})
    other = SharedEvidence("evidence/", Classes(tuple(NAMES), TEXTS, 20.0), LearnerContext(slot="c"), 1.0)
    other.restore(state)
    assert other.digest == before == shared.digest


def test_one_record_keeps_no_other_from_being_read():
    value = found(1).to_bytes(NAMES)
    for first in ({"directions": b"{}"}, {"evidence/gone": None}, {"evidence/damaged": b"no safetensors"}):
        shared = SharedEvidence("evidence/", Classes(tuple(NAMES), TEXTS, 20.0), LearnerContext(slot="a"), 1.0)
        with pytest.raises(ValueError, match="cannot be read") if "evidence/damaged" in first else nullcontext():
            assert shared.follow({**first, "evidence/b": value})
        assert shared.in_force().events == found(1).events
        assert not shared.follow({"evidence/b": value}), "it was there before"
        assert shared.follow({"evidence/b": None}) and not shared.follow({"evidence/b": None})


def test_it_is_news_where_a_class_has_a_tenth_more_or_less_and_all_else_a_while_later():
    now = [0.0]
    context = LearnerContext(clock=lambda: now[0], slot="a", publishes=True)
    shared = SharedEvidence("evidence/", Classes(tuple(NAMES), TEXTS, 20.0), context, 1.0)
    first = found(1)
    first = replace(first, mass=first.mass * 10, mass_explained=first.mass_explained * 10, sums=first.sums * 10)
    largest = int(first.mass.argmax())

    def due(factor: float, at_s: float) -> bool:
        """Of the largest class there is so much now."""
        mass = first.mass.copy()
        mass[largest] *= factor
        now[0] = at_s
        shared.found(replace(first, mass=mass))
        return bool(shared.due())

    assert first.mass[largest] > 100
    shared.found(first)
    shared.follow(shared.due())
    assert not due(0.95, 2.0) and not due(1.05, 2.0)
    assert due(1.05, 5.0)
    for factor in (0.8, 1.2):
        assert due(factor, now[0] + 2.0)


def test_records_of_workers_that_cannot_be_read_change_nothing():
    worker = adapter(LearnerContext(publishes=True))
    run(worker, stream(100, 1))
    before = worker.predict(stream(50, 2).vectors).adapted
    worker.follow((), {"unheard of": b""})
    for key in ("evidence/other", "directions"):
        with pytest.raises(ValueError, match="cannot be read"):
            worker.follow((), {key: b"no safetensors"})
    np.testing.assert_array_equal(worker.predict(stream(50, 2).vectors).adapted, before)


def test_who_the_traffic_is_of_is_asked_again_with_what_labels_taught():
    """Beliefs come without any mean first, then with them: what zero-shot takes for another class is its own again."""
    seen = stream(400, 1)
    truth = np.bincount(seen.truth, minlength=C)
    errors = []
    for labelled in (np.arange(0, 400, 8), np.arange(0)):
        taught = adapter()
        run(taught, seen, labelled)
        evidence: Evidence = taught._learner._labelled.evidence  # type: ignore[attr-defined]
        errors.append(np.abs(evidence.mass - truth * evidence.mass.sum() / 400).sum() / evidence.mass.sum())
    assert errors[0] < 0.75 * errors[1]


def test_how_sure_zero_shot_is_is_said_of_events_of_classes_that_have_labels():
    seen = stream(400, 1)
    taught = adapter()
    run(taught, seen, np.flatnonzero(seen.truth == 0)[::4])
    evidence: Evidence = taught._learner._labelled.evidence  # type: ignore[attr-defined]
    assert evidence.sure.sum() == pytest.approx((seen.truth == 0).sum(), rel=0.2)


def test_of_a_class_that_is_not_there_hardly_any_event_is_believed_to_be():
    """Of 12 classes the traffic has six; what the untouched model takes for another one counts as far as that does."""
    seen, taught = stream(1_500, 1), adapter()
    run(taught, seen, np.arange(0, 1_500, 8), batch=500)
    evidence: Evidence = taught._learner._labelled.evidence  # type: ignore[attr-defined]
    zero_shot = taught.predict(seen.vectors).zero_shot
    assert zero_shot[:, 6:].sum() > 0.05 * len(seen.ids)
    assert evidence.mass[6:].sum() < 0.01 * evidence.mass.sum()
