import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.drift.confidence_sequence import FRACTIONS, interval, log_capital, upper_bound

counts = st.integers(0, 2_000)


def test_one_loss_by_hand() -> None:
    # m = 0: the bet pays 1 + c for a loss, 1 for a tie, 1 − c for a win.
    assert np.exp(log_capital(1, 0, 0, 0.0)) == pytest.approx(np.mean(1.0 + FRACTIONS))
    assert np.exp(log_capital(0, 0, 1, 0.0)) == pytest.approx(np.mean(1.0 - FRACTIONS))
    assert np.exp(log_capital(0, 5, 0, 0.0)) == pytest.approx(1.0)


def test_nothing_known_without_data() -> None:
    assert (interval(0, 0, 0, 0.01).low, interval(0, 0, 0, 0.01).high) == pytest.approx((-1.0, 1.0))


@settings(deadline=None)
@given(losses=counts, ties=counts, wins=counts)
def test_mirrored_data_mirror_the_interval(losses: int, ties: int, wins: int) -> None:
    one, other = interval(losses, ties, wins, 0.01), interval(wins, ties, losses, 0.01)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@settings(deadline=None)
@given(losses=counts, ties=counts, wins=counts)
def test_holds_the_observed_mean(losses: int, ties: int, wins: int) -> None:
    if total := losses + ties + wins:
        now = interval(losses, ties, wins, 0.05)
        assert now.low <= (wins - losses) / total <= now.high


@settings(deadline=None)
@given(losses=counts, ties=counts, wins=counts, low=st.floats(-0.99, 0.98), step=st.floats(0.001, 0.5))
def test_capital_grows_with_the_mean_it_bets_against(
    losses: int, ties: int, wins: int, low: float, step: float
) -> None:
    high = min(low + step, 0.99)
    assert log_capital(losses, ties, wins, low) <= log_capital(losses, ties, wins, high) + 1e-9


def test_more_certainty_is_a_wider_interval() -> None:
    bounds = upper_bound(50, 900, 50, np.array([0.1, 0.01, 0.001]))
    assert np.all(np.diff(bounds) > 0)


def test_covers_at_all_times_at_once() -> None:
    """200 streams read after every event: the mean leaves the upper bound in at most a few of them (α = 5 %)."""
    rng = np.random.default_rng(0)
    values = rng.choice([-1, 0, 1], (200, 1_000), p=[0.06, 0.92, 0.02])
    losses, wins = np.cumsum(values < 0, axis=1), np.cumsum(values > 0, axis=1)
    ties = np.arange(1, 1_001) - losses - wins
    excluded = log_capital(losses, ties, wins, -0.04) >= -np.log(0.05)
    assert excluded.any(axis=1).sum() <= 20


def test_few_discordant_pairs_make_it_sharp() -> None:
    """Same mean, same labels: 1 % against 41 % discordant pairs."""
    quiet, noisy = interval(10, 990, 0, 0.01), interval(210, 590, 200, 0.01)
    assert quiet.high - quiet.low < 0.5 * (noisy.high - noisy.low)
