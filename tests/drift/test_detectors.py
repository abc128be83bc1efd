"""What is particular to single detectors; what they share is in test_contract."""

import numpy as np
import pytest
from river import drift as river

from stream_adapter.drift.adwin import Adwin
from stream_adapter.drift.conformal import ConformalTest
from stream_adapter.drift.detector import pack, unpack
from stream_adapter.drift.embedding_shift import EmbeddingShift
from stream_adapter.drift.label_mix import LabelMixShift
from stream_adapter.drift.novelty import NoveltyRate, maximum_concept_matching


class TestConformal:
    def test_ranks_by_hand(self) -> None:
        test = ConformalTest(n_scores=1, n_bins=4)
        bins = np.array([[2], [1], [2], [3]])
        ranks = test._ranks(bins, np.full((4, 1), 0.5))[:, 0]
        # first: alone; second: one higher; third: one equal, none higher; fourth: none higher or equal.
        assert ranks == pytest.approx([0.5, (1 + 0.5) / 2, 0.5 * 2 / 3, 0.5 / 4])

    def test_ranks_do_not_depend_on_the_batches(self) -> None:
        rng = np.random.default_rng(0)
        bins, coins = rng.integers(0, 5, (60, 3)), rng.random((60, 3))
        one, many = ConformalTest(3, 5), ConformalTest(3, 5)
        paths = [many.advance(bins[at : at + 1], coins[at : at + 1]) for at in range(60)]
        assert np.array_equal(one.advance(bins, coins), np.concatenate(paths))

    def test_ranks_are_uniform_whatever_the_distribution(self) -> None:
        rng = np.random.default_rng(1)
        bins = rng.choice(4, (2_000, 1, 1), p=[0.7, 0.2, 0.05, 0.05])
        test = ConformalTest(1, 4, streams=(1,))
        ranks = np.concatenate([_advance_for_ranks(test, bins[at : at + 64], rng) for at in range(0, 2_000, 64)])
        assert np.histogram(ranks, bins=10, range=(0, 1))[0] == pytest.approx(np.full(10, 200), abs=60)

    def test_false_alarms_stay_below_the_stated_share(self) -> None:
        rng = np.random.default_rng(2)
        test, alarmed = ConformalTest(2, 8, streams=(200,)), np.zeros(200, dtype=bool)
        for _ in range(32):
            path = test.advance(rng.integers(0, 8, (64, 200, 2)), rng.random((64, 200, 2)))
            alarmed |= (path >= 100.0).any(axis=0)
        assert alarmed.sum() <= 5


def _advance_for_ranks(test: ConformalTest, bins: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    coins = rng.random(bins.shape)
    copy = ConformalTest(1, 4, streams=(1,))
    copy.restore(test.state())
    ranks = copy._ranks(bins, coins)
    test.advance(bins, coins)
    return ranks.ravel()


def test_embedding_shift_sees_a_change_of_spread_alone() -> None:
    rng = np.random.default_rng(0)
    detector = EmbeddingShift(reference=200, seed=1)
    assert detector.observe(rng.standard_normal((1_500, 12)).astype(np.float32)) == []
    assert detector.observe(0.5 * rng.standard_normal((300, 12)).astype(np.float32))


def test_embedding_shift_takes_a_new_reference_after_an_alarm() -> None:
    rng = np.random.default_rng(0)
    detector = EmbeddingShift(reference=200, seed=1)
    moved = rng.standard_normal((3_000, 12)).astype(np.float32) + 3.0
    detector.observe(rng.standard_normal((1_000, 12)).astype(np.float32))
    assert len(detector.observe(moved)) == 1  # what is new becomes normal


def test_label_mix_names_the_class() -> None:
    rng = np.random.default_rng(0)
    detector = LabelMixShift(reference=200, seed=1)
    detector.observe(np.eye(5)[rng.choice(5, 2_000)])
    (signal, *_) = detector.observe(np.eye(5)[rng.choice(5, 500, p=[0.1, 0.1, 0.1, 0.6, 0.1])])
    assert signal.subject == 3


def test_principal_directions_are_those_of_the_covariance() -> None:
    rng = np.random.default_rng(0)
    centered = (rng.standard_normal((400, 60)) * np.geomspace(10.0, 0.1, 60)).astype(np.float32)
    centered -= centered.mean(axis=0)
    found = EmbeddingShift()._directions(centered, 8)
    _, exact = np.linalg.eigh(np.cov(centered, rowvar=False))
    assert np.abs((found * exact[:, ::-1][:, :8]).sum(axis=0)) == pytest.approx(np.ones(8), abs=1e-3)


def test_adwin_tells_before_and_after() -> None:
    rng = np.random.default_rng(0)
    detector = Adwin()
    detector.observe((rng.random(2_000) < 0.9).astype(float))
    (signal, *_) = detector.observe((rng.random(1_000) < 0.4).astype(float))
    assert signal.details["before"] == pytest.approx(0.9, abs=0.05)
    assert signal.details["after"] == pytest.approx(0.4, abs=0.15)
    assert 0 < signal.since < 100


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.3), (0.3, 0.9), (0.9, 0.8), (0.5, 0.5)])
@pytest.mark.parametrize("delta", [1e-5, 2e-3])
def test_adwin_finds_what_that_of_river_finds(delta: float, before: float, after: float) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        values = (rng.random(6_000) < np.repeat([before, after], 3_000)).astype(float)
        theirs, alarms = river.ADWIN(delta=delta), []
        for row, value in enumerate(values.tolist()):
            theirs.update(value)
            if theirs.drift_detected:
                alarms.append(row)
        ours = [signal.row for signal in Adwin(delta).observe(values)]
        assert bool(ours) == bool(alarms)
        # River allows for the shortest window in the bound, which may delay it by a check.
        assert ours[:1] == pytest.approx(alarms[:1], abs=32)


def test_adwin_keeps_every_value_in_buckets_of_the_papers_sizes() -> None:
    values = np.random.default_rng(0).random(1_000)
    detector = Adwin()
    detector.observe(values)
    size, total, squares = detector._buckets().T
    assert (np.diff(size) <= 0).all()
    assert (np.unique(size, return_counts=True)[1] <= 5).all()
    assert size.sum() == 1_000
    edges = np.cumsum(size).astype(int)[:-1]
    assert total == pytest.approx([part.sum() for part in np.split(values, edges)])
    assert squares == pytest.approx([(part**2).sum() for part in np.split(values, edges)])
    assert detector.mean == pytest.approx(values.mean())


def test_adwin_starts_anew_after_an_alarm() -> None:
    detector = Adwin()
    values = np.repeat([1.0, 0.0], 512)
    (signal,) = detector.observe(values[:544])
    assert (signal.row, signal.since, signal.details) == (543, 32, {"before": 1.0, "after": 0.0})
    assert detector.mean is None
    detector.observe(values[544:])
    assert (detector.observed, detector.mean) == (1_024, 0.0)


class TestNovelty:
    def test_matching_by_hand(self) -> None:
        # Cosines 0.3 and 0.1 at scale 100: probabilities e^30 : e^10, matching 1 / (1 + e^-0.2).
        zero_shot = np.exp([[0.0, -20.0]]).astype(np.float32)
        assert maximum_concept_matching(zero_shot, 100.0) == pytest.approx([1.0 / (1.0 + np.exp(-0.2))], rel=1e-5)

    def test_matching_survives_probabilities_of_zero(self) -> None:
        assert np.isfinite(maximum_concept_matching(np.array([[1.0, 0.0]], dtype=np.float32), 100.0)).all()

    def test_nearer_anchors_are_no_news(self) -> None:
        rng = np.random.default_rng(0)
        detector = NoveltyRate(reference=200, seed=1)
        matching, novelty = rng.normal(0.8, 0.02, 3_000), rng.normal(0.4, 0.05, 3_000)
        novelty[1_000:] -= np.linspace(0.0, 0.3, 2_000)  # anchors are added all the time
        assert detector.observe(np.stack([matching, novelty], axis=1)) == []

    def test_nothing_is_novel_while_the_reference_is_taken(self) -> None:
        detector = NoveltyRate(reference=200, seed=1)
        detector.observe(np.zeros((100, 2)))
        assert not detector.is_novel(np.array([[0.0, 1.0]])).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_arrays_travel_bit_for_bit(dtype: type) -> None:
    array = np.random.default_rng(0).standard_normal((3, 0, 2)).astype(dtype)
    filled = np.random.default_rng(0).standard_normal((3, 4)).astype(dtype)
    for one in (array, filled, filled.T):
        back = unpack(pack(one))
        assert back.dtype == one.dtype
        assert np.array_equal(back, one)
