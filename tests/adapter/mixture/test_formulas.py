"""The formulas of docs/method.md, written out one event and one class at a time, beside the arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.adapter.anchors.weights import Directions, closeness, placed
from stream_adapter.adapter.mixture.backend import Backend
from stream_adapter.adapter.mixture.class_means import ClassMeans, Prior
from stream_adapter.adapter.mixture.evidence import Evidence
from stream_adapter.adapter.mixture.label_shift import label_shift, responsibilities
from stream_adapter.adapter.mixture.standing import presence_of
from stream_adapter.adapter.mixture.traffic import _spread
from tests.adapter.mixture.streams import CENTRES, TEXTS, C, D, stream

BACKEND = Backend("numpy")


class Sums:
    """Stands for `AnchorSums`."""

    def __init__(self, count: np.ndarray, sums: np.ndarray) -> None:
        self.count, self.sums = count, sums


def test_the_answer_is_formulas_two_and_three():
    random = np.random.default_rng(0)
    count = np.where(np.arange(C) < 4, random.uniform(1, 20, C), 0.0)
    mass = random.uniform(0, 30, C)
    mass[9] = 0.1
    has = np.flatnonzero(mass >= 0.5)
    explained = mass * random.uniform(0, 0.5, C)
    centres = CENTRES.copy()
    centres[11] = centres[10] + 0.02 * random.normal(size=D)  # as near as two names of one thing
    mass[10:] = 20.0, 8.0
    sums, traffic = centres * count[:, None], centres[has] * 0.9 * mass[has, None]
    total = mass @ centres
    zero = np.zeros(C)
    evidence = Evidence(200, float(mass.sum()), 20.0, total, zero, zero, mass, explained, (0, 0), has, traffic)
    presence = np.where(count > 0, 1.0, random.uniform(0.1, 1, C)).astype(np.float32)
    root = np.asarray(np.eye(D) * 1.7, np.float32)
    model = ClassMeans(Sums(count, sums), evidence, Prior(presence, count > 0), root, BACKEND)  # type: ignore[arg-type]
    vectors = np.concatenate([stream(30, 5, classes=C).vectors, CENTRES[:3]])
    zero_shot = BACKEND.softmax(20.0 * vectors @ TEXTS.T)
    answer = model.answer(vectors, zero_shot)

    centre = total / mass.sum()
    N = np.where(mass >= 0.5, mass, 0.0)
    T = np.zeros((C, D))
    T[has] = traffic
    e = np.where(N > 0, np.maximum(mass - explained, 0.0), 0.0)
    n = count
    g = np.zeros(C)
    for c in range(C):
        if n[c] + N[c]:
            g[c] = e[c] / (e[c] + 5) * min(1, e[c] / (n[c] + N[c]))
        if n[c]:
            g[c] = max(g[c], n[c] / (n[c] + 2.5))
    part = [c for c in range(C) if g[c] >= 0.02]
    m = {c: (sums[c] + T[c]) / (n[c] + N[c]) for c in part}
    s = {c: 1 + 1 / max(n[c] + N[c], 0.5) for c in part}
    spread = 1 + np.mean([max(float(np.sum(((m[c] - centre) @ root) ** 2)) - 1 / (n[c] + N[c]), 0.0) for c in part])
    free = [c for c in part if not n[c]]
    f = np.ones(C)
    own = {}
    for c in free:
        near = sum(
            e[k] * np.exp(-5 * max(float(np.sum(((m[c] - m[k]) @ root) ** 2)) - 1 / N[c] - 1 / N[k], 0.0) * (c != k))
            for k in free
        )
        own[c] = (e[c] + 1) / (1 + near)
    f = np.where(n > 0, 1.0, np.exp(np.mean(np.log(list(own.values())))))
    for c in free:
        f[c] = own[c]
    assert f.min() < 0.8 and f[n > 0].min() == 1.0, "one of the two that are near has little left"
    L = np.maximum(n - 1, 0).sum()
    h = 0.25 + 0.75 * L / (L + 5)
    moved = limited = 0
    for row, z in enumerate(vectors):
        q, plain = np.zeros(C), np.zeros(C)
        for c in range(C):
            plain[c] = zero_shot[row, c] * presence[c]
            q[c] = plain[c] * f[c]
            if c in part:
                square = float(np.sum(((z - m[c]) @ root) ** 2))
                far = float(np.sum(((z - centre) @ root) ** 2))
                t_c = s[c] ** -13 * (1 + 2.6 * square / s[c]) ** -18
                t_0 = spread**-13 * (1 + 2.6 * far / spread) ** -18
                limited += t_c / t_0 > np.exp(12)
                q[c] *= 1 - g[c] + g[c] * min(t_c / t_0, np.exp(12))
        q, plain = q / q.sum(), plain / plain.sum()
        moved += q.argmax() != plain.argmax()
        expected = q if q.argmax() == plain.argmax() else (1 - h) * plain + h * q
        np.testing.assert_allclose(answer[row], expected, atol=2e-5)
    assert limited, "no ratio was as large as it may be"
    assert 3 < moved < len(vectors) - 3, "both ways must be tried"


def test_presence_is_formula_four():
    given = np.array([0.0, 5.0, 50.0, 50.0, 3.0] + [0.0] * (C - 5))
    explained = np.array([0.0, 0.0, 0.0, 45.0, 3.0] + [0.0] * (C - 5))
    evidence = Evidence.none(C, D)
    evidence = Evidence(
        1_000,
        1_000.0,
        0.0,
        *[getattr(evidence, n) for n in ("total",)],
        given,
        explained,
        *[getattr(evidence, n) for n in ("mass", "mass_explained", "spread", "classes", "sums")],
    )
    labelled = np.arange(C) == 1
    presence, standing = presence_of(evidence, labelled)
    for c in range(C):
        e = max(given[c] - explained[c], 0.0)
        expected = min(1, (e + 1) / (0.002 * (1_000 + C))) ** 2 * (e + 2.5) / (max(given[c], e) + 2.5)
        assert presence[c] == pytest.approx(1.0 if labelled[c] else expected, rel=1e-5)
    assert standing.kinds[:4] == ["dormant", "labelled", "present", "present"]


@given(st.integers(0, 1_000), st.integers(1, 40))
def test_label_shift_is_expectation_maximisation(seed, n):
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(C, 0.3), n).astype(np.float32)
    w = random.uniform(0.05, 1.0, n)
    pi = np.full(C, 1 / C)
    for _ in range(20):
        before = pi
        r = p * pi / np.maximum((p * pi).sum(axis=1, keepdims=True), 1e-38)
        pi = ((w[:, None] * r).sum(axis=0) + 1) / (w.sum() + C)
    shift = label_shift(p, w, BACKEND)
    np.testing.assert_allclose(shift.events, pi * (w.sum() + C) - 1, atol=2e-3)
    np.testing.assert_allclose(shift.prior, before, atol=1e-4)
    np.testing.assert_allclose(responsibilities(p, shift), r, atol=1e-3)


@given(st.integers(0, 1_000), st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_the_traffics_spread_is_the_unbiased_variance_within_classes(seed: int, sizes: list[int]) -> None:
    random = np.random.default_rng(seed)
    classes = [random.normal(size=(size, D)) for size in sizes]
    classes = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in classes]
    found = _spread(np.array(sizes, np.float64), np.array([one.sum(axis=0) for one in classes]))
    several = [one for one in classes if len(one) >= 2]  # one event says nothing of its class
    expected = sum(len(one) * one.var(axis=0, ddof=1).sum() for one in several)
    np.testing.assert_allclose(found, (expected, sum(map(len, several))), atol=1e-9)


@given(st.integers(0, 1_000))
def test_closeness_is_one_for_the_same_and_zero_from_the_reach_on(seed):
    random = np.random.default_rng(seed)
    one, others = random.normal(size=(5, 8)).astype(np.float32), random.normal(size=(7, 8)).astype(np.float32)
    others[0] = one[0]
    reach = float(random.uniform(1.0, 20.0))
    directions = Directions(np.eye(8, dtype=np.float32), reach / 0.3, 1)
    near = closeness(placed(one, directions, 0.3), placed(others, directions, 0.3))
    assert near[0, 0] == pytest.approx(1.0, abs=1e-4)
    square = np.square(one[:, None] - others).sum(axis=2)
    np.testing.assert_allclose(near, np.clip(1 - square / reach, 0, 1), atol=1e-4)
