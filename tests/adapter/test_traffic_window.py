import numpy as np

from stream_adapter.adapter.traffic_window import MOST_BELIEVED, TrafficWindow


def test_the_largest_probabilities_are_remembered_with_their_classes() -> None:
    adapted = np.random.default_rng(0).dirichlet(np.ones(20), 6).astype(np.float32)
    window = TrafficWindow.of(adapted, np.zeros(6, bool), adapted, np.zeros((6, 3), np.float32))
    assert window.believed.shape == (6, MOST_BELIEVED)
    for row in range(6):
        assert sorted(window.adapted[row].tolist()) == np.sort(adapted[row])[-MOST_BELIEVED:].tolist()
        assert window.adapted[row].tolist() == adapted[row, window.believed[row]].tolist()


def test_a_small_vocabulary_is_remembered_whole() -> None:
    adapted = np.array([[0.3, 0.7]], np.float32)
    window = TrafficWindow.of(adapted, np.zeros(1, bool), adapted, np.zeros((1, 3), np.float32))
    window.check(2, 3)
    assert dict(zip(window.believed[0].tolist(), window.adapted[0].tolist(), strict=True)) == {
        0: adapted[0, 0],
        1: adapted[0, 1],
    }
    window.at(np.array([], np.int64)).check(2, 3)
