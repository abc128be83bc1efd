import numpy as np
import pytest

from stream_adapter.drift.detector import ALL
from stream_adapter.drift.harm import BET_WEIGHTS, START_EVERY, HarmDetector, harm_factors
from stream_adapter.drift.harm_groups import HarmByGroup, paired_differences
from stream_adapter.drift.restarts import RestartMixture, restart_weight, weight_left


def test_factors_by_hand() -> None:
    # ε = 0.25, largest bet: (−ε − d)/(1 + ε) is 0.6, −0.2 and −1 for −1, 0 and 1.
    biggest = harm_factors(np.array([-1, 0, 1]), 0.25)[:, -1]
    assert biggest == pytest.approx([1.0 + 0.75 * 0.6, 1.0 - 0.75 * 0.2, 1.0 - 0.75])


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.3])
def test_factors_are_fair_at_the_tolerated_harm(loss: float) -> None:
    shares = np.array([loss, 1.0 - 2.0 * loss + 0.01, loss - 0.01])
    assert shares @ harm_factors(np.array([-1, 0, 1]), 0.01) == pytest.approx(np.ones(3))


def test_weights_sum_to_one() -> None:
    assert sum(restart_weight(k, 64) for k in range(1, 501)) + weight_left(500, 64) == pytest.approx(1.0)


def test_mixture_is_the_sum_over_starts() -> None:
    rng = np.random.default_rng(0)
    factors = rng.uniform(0.5, 1.6, 40)
    mixture = RestartMixture(np.ones(1), block=8)
    path = np.concatenate([mixture.advance(factors[at : at + 8, None]) for at in range(0, 40, 8)])
    n = 29
    started = sum(restart_weight(k, 8) * np.prod(factors[8 * (k - 1) : n + 1]) for k in range(1, 5))
    expected = started + weight_left(4, 8)
    assert path[n] == pytest.approx(expected)


def test_mixture_refuses_weights_that_do_not_sum_to_one() -> None:
    with pytest.raises(ValueError, match="sum to one"):
        RestartMixture(np.array([0.5, 0.4]), block=4)


def test_mixture_refuses_rows_beyond_the_next_start() -> None:
    with pytest.raises(ValueError, match="next possible start is after 4"):
        RestartMixture(np.ones(1), block=4).advance(np.ones((5, 1)))


def test_refuses_what_is_no_difference() -> None:
    with pytest.raises(ValueError, match="-1, 0 or 1"):
        HarmDetector().observe(np.array([0, 2]))


def test_false_alarms_stay_below_the_stated_share() -> None:
    """300 streams of 3,000 labels at exactly the tolerated harm; 1 % of them would be 3."""
    rng = np.random.default_rng(1)
    mixture = RestartMixture(BET_WEIGHTS, START_EVERY, (300,))
    alarmed = np.zeros(300, dtype=bool)
    for _ in range(3_000 // START_EVERY):
        values = rng.choice([-1, 0, 1], (START_EVERY, 300), p=[0.06, 0.89, 0.05])
        alarmed |= (mixture.advance(harm_factors(values, 0.01)) >= 100.0).any(axis=0)
    assert alarmed.sum() <= 6


def test_a_late_change_is_found_and_dated() -> None:
    rng = np.random.default_rng(2)
    detector = HarmDetector()
    assert detector.observe(rng.choice([-1, 0, 1], 8_000, p=[0.03, 0.94, 0.03])) == []
    (signal, *_) = detector.observe(rng.choice([-1, 0, 1], 2_000, p=[0.12, 0.86, 0.02]))
    assert signal.row < 600
    assert signal.row - 200 < signal.since < signal.row + 300
    assert signal.e_value is not None
    assert signal.e_value >= 100
    assert signal.interval is not None
    assert signal.interval.low < signal.details["difference"] < signal.interval.high <= -0.01


def test_says_not_enough_evidence_instead_of_a_number() -> None:
    detector = HarmDetector(min_labels=50)
    detector.observe(np.zeros(49, dtype=np.int64))
    assert (detector.mean, detector.interval()) == (None, None)
    detector.observe(np.array([-1]))
    assert detector.mean == pytest.approx(-0.02)
    assert detector.interval() is not None


def test_an_improvement_never_alarms() -> None:
    assert HarmDetector().observe(np.tile([0, 0, 1, 0, 0], 2_000)) == []


class TestByGroup:
    def test_names_the_group_at_fault_and_its_class(self) -> None:
        harm = HarmByGroup(group_of_class=np.array([0, 0, 1]))
        labels = np.tile([0, 1, 2], 300)
        signals = harm.observe(labels, np.where(labels == 1, -1, 0))
        assert {signal.subject for signal in signals} == {ALL, 0}
        assert harm.classes_at_fault(0) == [1]
        assert harm.classes_at_fault(ALL) == [1]
        assert harm.classes_at_fault(1) == []

    def test_rows_are_those_of_the_batch(self) -> None:
        harm = HarmByGroup(group_of_class=np.array([0, 1]))
        labels = np.tile([0, 1], 200)
        signals = harm.observe(labels, np.where(labels == 1, -1, 0))
        of_group = [signal for signal in signals if signal.subject == 1]
        assert of_group
        assert all(labels[signal.row] == 1 for signal in of_group)
        assert [s.row for s in signals] == sorted(s.row for s in signals)

    def test_more_groups_need_more_evidence(self) -> None:
        labels, harmed = np.zeros(100, dtype=np.int64), -np.ones(100, dtype=np.int64)
        rows = []
        for n_groups in (1, 1_000):
            signals = HarmByGroup(np.arange(n_groups)).observe(labels, harmed)
            rows.append(next(signal.row for signal in signals if signal.subject == 0))
        assert rows[0] < rows[1] < 40

    def test_a_good_past_does_not_hide_who_is_at_fault(self) -> None:
        harm = HarmByGroup(group_of_class=np.array([0]))
        harm.observe(np.zeros(5_000, dtype=np.int64), np.tile([0, 0, 0, 1], 1_250))
        for _ in range(20):
            signals = harm.observe(np.zeros(64, dtype=np.int64), np.tile([0, -1], 32))
            if signals:
                break
        assert signals

    def test_paired_differences_by_hand(self) -> None:
        right = paired_differences(np.array([0, 0, 0, 0]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
        assert right.tolist() == [0, -1, 1, 0]
