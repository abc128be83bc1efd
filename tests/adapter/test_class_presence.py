import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.class_presence import ClassPresence, PresenceEvidence
from stream_adapter.adapter.traffic_window import TrafficWindow

D = 4


def _beliefs(rng: np.random.Generator, tops: np.ndarray, n_classes: int, sure: float = 0.9) -> np.ndarray:
    return (sure * np.eye(n_classes)[tops] + (1.0 - sure) / n_classes).astype(np.float32)


def _window(beliefs: np.ndarray, labelled: np.ndarray) -> TrafficWindow:
    """Events that the adapted model takes as zero-shot does, in directions of their own."""
    vectors = np.random.default_rng(len(beliefs)).normal(size=(len(beliefs), D)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TrafficWindow.of(beliefs, labelled, beliefs, vectors)


def _by_definition(beliefs: np.ndarray, labelled: np.ndarray, rounds: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Shares and n e_c as the design writes them, in float64 with all responsibilities at hand."""
    n, n_classes = beliefs.shape
    shares = np.full(n_classes, 1.0 / n_classes)
    for _ in range(rounds):
        r = beliefs * shares
        r /= r.sum(axis=1, keepdims=True)
        shares = (r.sum(axis=0) + 1.0) / (n + n_classes)
    excess = n * np.maximum(0.0, r.mean(axis=0) - (r[labelled].mean(axis=0) if labelled.any() else 0.0))
    return shares, excess


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1_000), n=st.integers(1, 80), n_classes=st.integers(1, 6))
def test_is_what_the_design_defines(seed: int, n: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    beliefs = rng.dirichlet(np.full(n_classes, 0.3), n).astype(np.float32).clip(1e-6)
    labelled = rng.random(n) < 0.3
    presence = ClassPresence(n_classes, D, window=100)
    presence.observe(_window(beliefs, labelled))
    evidence = presence.evidence()
    shares, excess = _by_definition(beliefs.astype(np.float64), labelled)
    assert evidence.shares == pytest.approx(shares, abs=1e-4)
    assert evidence.excess == pytest.approx(excess, abs=1e-2)


def test_aliveness_by_hand() -> None:
    evidence = PresenceEvidence(98, 10, np.full(2, 0.5), np.array([0.0, 4.0]), np.zeros(2), np.zeros(2, int))
    # κ (n + C) = 0.1 · 100 = 10: (0 + 1)/10 and (4 + 1)/10.
    assert evidence.aliveness(np.array([False, False]), kappa=0.1) == pytest.approx([0.1, 0.5])
    assert evidence.aliveness(np.array([True, False]), kappa=0.1) == pytest.approx([1.0, 0.5])


def test_an_unlabelled_class_in_the_traffic_is_present_and_a_confusion_is_not() -> None:
    rng = np.random.default_rng(0)
    # Class 0 is labelled; a tenth of its events looks like class 1, labelled or not; class 2 is there, never labelled.
    tops = rng.choice(3, 2_000, p=[0.85, 0.1, 0.05])
    labelled = (rng.random(2_000) < 0.5) & (tops != 2)
    presence = ClassPresence(4, D, window=2_000)
    presence.observe(_window(_beliefs(rng, tops, 4), labelled))
    evidence = presence.evidence()
    assert evidence.excess[2] > 40
    assert evidence.excess[1] < evidence.excess[2] / 2
    assert evidence.kinds(np.array([True, False, False, False]), kappa=0.02)[2:] == ["present", "dormant"]
    assert evidence.confusion[1] > 10 * evidence.confusion[2]


def test_only_the_newest_events_count() -> None:
    rng = np.random.default_rng(0)
    window, whole = ClassPresence(3, D, window=100), ClassPresence(3, D, window=100)
    beliefs = _beliefs(rng, rng.choice(3, 250), 3)
    labelled = rng.random(250) < 0.3
    for at in range(0, 250, 7):
        window.observe(_window(beliefs[at : at + 7], labelled[at : at + 7]))
    whole.observe(_window(beliefs, labelled))
    newest = ClassPresence(3, D, window=100)
    newest.observe(_window(beliefs[150:], labelled[150:]))
    for other in (whole, newest):
        assert other.evidence().excess == pytest.approx(window.evidence().excess, abs=1e-3)


def test_labels_may_come_late() -> None:
    rng = np.random.default_rng(0)
    beliefs = _beliefs(rng, rng.choice(3, 150), 3)
    late, prompt = ClassPresence(3, D, window=100), ClassPresence(3, D, window=100)
    late.observe(_window(beliefs, np.zeros(150, dtype=bool)))
    late.mark_labelled(np.array([10, 60, 149, 150]))  # one left the window, one has not been seen
    prompt.observe(_window(beliefs, np.isin(np.arange(150), [60, 149])))
    assert late.evidence().labelled_events == 2
    assert late.evidence().excess == pytest.approx(prompt.evidence().excess)


def test_evidence_of_workers_adds_up() -> None:
    one = PresenceEvidence(100, 10, np.array([0.2, 0.8]), np.array([1.0, 2.0]), np.array([0.1, 0.0]), np.array([1, 2]))
    other = PresenceEvidence(
        300, 30, np.array([0.6, 0.4]), np.array([3.0, 0.0]), np.array([0.3, 0.2]), np.array([3, 0])
    )
    both = one + other
    assert (both.events, both.labelled_events) == (400, 40)
    assert both.excess.tolist() == [4.0, 2.0]
    assert both.shares == pytest.approx([0.5, 0.5])
    assert both.confusion == pytest.approx([0.25, 0.15])
    assert both.witnesses.tolist() == [4, 2]


def test_the_same_picture_is_one_witness() -> None:
    rng = np.random.default_rng(0)
    again, different = ClassPresence(2, D), ClassPresence(2, D)
    picture = np.array([[0.1, 0.9]], dtype=np.float32)
    again.observe(_window(np.repeat(picture, 20, axis=0), np.zeros(20, dtype=bool)))
    beliefs = rng.uniform(0.8, 0.95, 20).astype(np.float32)
    different.observe(_window(np.stack([1.0 - beliefs, beliefs], axis=1), np.zeros(20, dtype=bool)))
    assert again.evidence().witnesses.tolist() == [0, 1]
    assert different.evidence().witnesses[1] == 20


def test_nothing_is_present_before_the_first_event() -> None:
    evidence = ClassPresence(3, D).evidence()
    assert evidence.kinds(np.array([False, True, False])) == ["dormant", "labelled", "dormant"]
    assert evidence.excess == pytest.approx(np.zeros(3), abs=1e-6)


def test_window_travels() -> None:
    rng = np.random.default_rng(0)
    original, restored = ClassPresence(3, D, window=50), ClassPresence(3, D, window=50)
    original.observe(_window(_beliefs(rng, rng.choice(3, 120), 3), rng.random(120) < 0.3))
    restored.restore(original.window())
    assert restored.evidence().excess == pytest.approx(original.evidence().excess, abs=1e-4)
    assert restored.evidence().means.sums == pytest.approx(original.evidence().means.sums, abs=1e-4)
    assert {len(array) for array in restored.window()} == {50}
