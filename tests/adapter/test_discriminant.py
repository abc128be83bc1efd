import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.discriminant import AnchorMeans, Discriminant, DiscriminantSettings, measure
from stream_adapter.adapter.presence_evidence import PresenceEvidence
from stream_adapter.adapter.traffic_means import TrafficMeans
from tests.adapter.anchor_sets import around, random_unit

D, C = 6, 5
CENTRES = random_unit(C, D, seed=3)
SETTINGS = DiscriminantSettings(weight=6.0, shrinkage=0.3)


def anchors(
    labelled: tuple[int, ...] = (0, 1), per_class: int = 12, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    vectors = around(CENTRES[list(labelled)], per_class, spread=0.6, seed=seed)
    return vectors, np.repeat(np.array(labelled, np.int64), per_class)


def measured(
    vectors: NDArray[np.float32], classes: NDArray[np.int64], trust: NDArray[np.float32] | None = None
) -> AnchorMeans:
    weights = torch.ones(len(classes)) if trust is None else torch.from_numpy(trust)
    return measure(torch.from_numpy(vectors), torch.from_numpy(classes), weights, SETTINGS)


def heard(rows: dict[int, tuple[float, float, NDArray[np.float32]]], labelled_events: int = 10**9) -> PresenceEvidence:
    """Class -> weight, excess, mean; so many labelled events that nothing is doubted, if not told otherwise."""
    ordered = sorted(rows.items())
    none = np.zeros(C)
    means = TrafficMeans(
        np.array([c for c, _ in ordered], np.int64),
        np.array([weight for _, (weight, _, _) in ordered], np.float64),
        np.array([excess for _, (_, excess, _) in ordered], np.float64),
        np.array([weight * mean for _, (weight, _, mean) in ordered], np.float32).reshape(len(ordered), D),
    )
    return PresenceEvidence(2 * 10**9, labelled_events, none, none, none, none.astype(np.int64), means)


def test_the_answer_is_bayes_rule_with_one_covariance_and_the_tails_of_students_t() -> None:
    vectors, classes = anchors()
    weight, excess = 6.0, 4.0
    made = Discriminant(
        measured(vectors, classes),
        heard({0: (3.0, 1.0, CENTRES[0]), 2: (weight, excess, CENTRES[2])}),
        np.isin(np.arange(C), [0, 1]),
        SETTINGS,
    )
    wide = vectors.astype(np.float64)
    own = np.array([wide[classes == c].mean(axis=0) for c in (0, 1)])
    precision, spread = np.linalg.inv(shrunk(wide, classes)), mean_left_out(wide, classes)
    means = np.array([(12 * own[0] + 3 * CENTRES[0]) / 15, own[1], CENTRES[2]])
    z = random_unit(7, D, seed=8)
    apart = z[:, None].astype(np.float64) - means  # (7, 3, d)
    square = np.einsum("bmi,ij,bmj->bm", apart, precision, apart) / spread
    shares = np.array([1.0, 1.0, excess / (excess + 4.0) * excess / weight])
    answer = np.random.default_rng(0).dirichlet(np.ones(C), 7)
    part = answer[:, :3] * shares
    expected = answer.copy()
    expected[:, :3] -= part
    again = part * (1.0 + 2.5 * square) ** -6.0
    expected[:, :3] += part.sum(axis=1, keepdims=True) * again / again.sum(axis=1, keepdims=True)
    found = made.shared_out(torch.from_numpy(answer.astype(np.float32)), torch.from_numpy(z))
    assert found.numpy() == pytest.approx(expected, abs=1e-4)


def scatter(vectors: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    means = np.array([vectors[classes == c].mean(axis=0) for c in range(classes.max() + 1)])
    off = vectors - means[classes]
    return np.asarray(off.T @ off)


def shrinkage(vectors: NDArray[np.float64]) -> float:
    n = len(vectors) - 2
    return (0.3 * n + 100) / (n + 100)


def shrunk(vectors: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    covariance = scatter(vectors, classes) / (len(vectors) - 2)
    sphere = np.trace(covariance) / D * np.eye(D)
    return np.asarray((1 - shrinkage(vectors)) * covariance + shrinkage(vectors) * sphere)


def mean_left_out(vectors: NDArray[np.float64], classes: NDArray[np.int64]) -> float:
    """Each anchor in turn against mean and scatter of all others, the scale and the sphere as they are with it."""
    n = len(vectors) - 2
    sphere = shrinkage(vectors) * np.trace(scatter(vectors, classes)) / n / D * np.eye(D)
    distances = []
    for i in range(len(vectors)):
        others = np.arange(len(vectors)) != i
        off = vectors[i] - vectors[others & (classes == classes[i])].mean(axis=0)
        without = (1 - shrinkage(vectors)) * scatter(vectors[others], classes[others]) / n + sphere
        distances.append(off @ np.linalg.inv(without) @ off)
    return float(np.mean(distances))


def test_the_unit_of_distance_is_that_of_an_anchor_left_out() -> None:
    vectors, classes = anchors()
    found = measured(vectors, classes)
    off = torch.from_numpy(vectors) - (found.sums / found.weights[:, None])[torch.from_numpy(classes)]
    as_they_stand = float((off @ found.whitening).square().sum(dim=1).mean())
    wide = vectors.astype(np.float64)
    own = np.array([wide[classes == c].mean(axis=0) for c in (0, 1)])
    apart = wide - own[classes]
    expected = np.einsum("ni,ij,nj->n", apart, np.linalg.inv(shrunk(wide, classes)), apart).mean()
    assert as_they_stand == pytest.approx(expected / mean_left_out(wide, classes), rel=1e-4)


def test_with_few_anchors_in_many_dimensions_new_events_are_at_distance_1_all_the_same() -> None:
    dimension = 128
    random = np.random.default_rng(5)
    centres = random_unit(2, dimension, seed=1)
    spread = np.r_[np.full(8, 1.0), np.full(dimension - 8, 0.1)] / 8

    def draw(count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        classes = np.repeat(np.arange(2), count)
        return (centres[classes] + spread * random.normal(size=(2 * count, dimension))).astype(np.float32), classes

    found = measured(*draw(10))
    new, classes = draw(2_000)
    off = torch.from_numpy(new) - (found.sums / found.weights[:, None])[torch.from_numpy(classes)]
    assert float((off @ found.whitening).square().sum(dim=1).mean()) == pytest.approx(1.0, rel=0.3)


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 1_000),
    labelled=st.sets(st.integers(0, C - 1), min_size=1).map(tuple),
    weights=st.lists(st.floats(0.5, 2_000), min_size=C, max_size=C),
    portions=st.lists(st.floats(0, 1), min_size=C, max_size=C),
    per_class=st.sampled_from([1, 2, 12]),
)
def test_it_stays_a_distribution_and_what_takes_no_part_keeps_its_proportions(
    seed: int, labelled: tuple[int, ...], weights: list[float], portions: list[float], per_class: int
) -> None:
    random = np.random.default_rng(seed)
    rows = {c: (weights[c], weights[c] * portions[c], random_unit(1, D, seed=seed + c)[0]) for c in range(C)}
    made = Discriminant(measured(*anchors(labelled, per_class)), heard(rows), np.isin(np.arange(C), labelled), SETTINGS)
    before = torch.from_numpy(random.dirichlet(np.full(C, 0.2), 9).astype(np.float32))
    after = made.shared_out(before.clone(), torch.from_numpy(random_unit(9, D, seed=seed)))
    assert torch.isfinite(after).all() and (after >= 0).all()
    torch.testing.assert_close(after.sum(dim=1), before.sum(dim=1), atol=1e-5, rtol=1e-5)
    # Without evidence classes neither win nor lose among each other; all fade alike where others are shadows.
    without_evidence = [c for c in range(C) if c not in labelled and portions[c] == 0]
    kept = after[:, without_evidence].sum(dim=1, keepdim=True) / before[:, without_evidence].sum(dim=1, keepdim=True)
    torch.testing.assert_close(after[:, without_evidence], before[:, without_evidence] * kept, atol=1e-6, rtol=1e-4)
    if all(c in labelled or portions[c] == 0 for c in range(C)) and without_evidence:
        torch.testing.assert_close(kept, torch.ones_like(kept), atol=1e-5, rtol=0)


def test_an_unlabelled_class_keeps_what_its_evidence_does_not_cover() -> None:
    labelled = np.isin(np.arange(C), [0, 1])
    rows = {2: (50.0, 4.0, CENTRES[0])}  # the mean of what it is confused with: little of it is its own
    made = Discriminant(measured(*anchors()), heard(rows), labelled, SETTINGS)
    before = torch.tensor([[0.4, 0.1, 0.5, 0.0, 0.0]])
    after = made.shared_out(before.clone(), torch.from_numpy(CENTRES[:1]))
    assert float(after[0, 2]) >= 0.5 * (1 - 0.5 * 4 / 50) - 1e-6


def test_traffic_pulls_an_event_to_the_class_that_its_like_were_taken_for() -> None:
    made = Discriminant(
        measured(*anchors()),
        heard({2: (40.0, 40.0, CENTRES[2])}),
        np.isin(np.arange(C), [0, 1]),
        SETTINGS,
    )
    before = torch.tensor([[0.5, 0.1, 0.4, 0.0, 0.0]]).repeat(2, 1)
    after = made.shared_out(before.clone(), torch.from_numpy(CENTRES[[2, 0]]))
    assert after[0].argmax() == 2 and after[1].argmax() == 0


def test_labels_that_are_not_trusted_move_nothing() -> None:
    vectors, classes = anchors()
    wrong = np.concatenate([vectors, CENTRES[[4] * 3]])
    said = np.concatenate([classes, [0] * 3])
    trust = np.array([1.0] * len(classes) + [0.0] * 3, np.float32)
    for one, two in zip(measured(vectors, classes), measured(wrong, said, trust), strict=True):
        torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("labelled", "per_class", "weight"), [((0,), 5, 6.0), ((0, 1), 5, 6.0), ((0, 1, 2), 4, 6.0), ((0, 1), 30, 0.0)]
)
def test_with_few_anchors_and_one_class_of_traffic_or_no_weight_nothing_changes(
    labelled: tuple[int, ...], per_class: int, weight: float
) -> None:
    vectors, classes = anchors(labelled, per_class)
    settings = DiscriminantSettings(weight, 0.3)
    found = measure(torch.from_numpy(vectors), torch.from_numpy(classes), torch.ones(len(classes)), settings)
    made = Discriminant(found, heard({3: (9.0, 9.0, CENTRES[3])}), np.isin(np.arange(C), labelled), settings)
    before = torch.full((4, C), 0.2)
    assert torch.equal(made.shared_out(before.clone(), torch.from_numpy(CENTRES[:4])), before)


def test_far_from_all_means_the_likelihood_says_little() -> None:
    vectors, classes = anchors()
    made = Discriminant(measured(vectors, classes), heard({}), np.isin(np.arange(C), [0, 1]), SETTINGS)
    means = np.array([vectors[classes == c].mean(axis=0) for c in (0, 1)])
    before = torch.tensor([[0.5, 0.5, 0.0, 0.0, 0.0]]).repeat(3, 1)
    z = torch.from_numpy(np.array([means[0], means[0] + 10 * (means[0] - means[1]), means[0] + 1000 * means[0]]))
    near, far, farther = made.shared_out(before, z.float())[:, 0].tolist()
    assert near > 0.9
    assert near > far > farther
    assert farther == pytest.approx(0.5, abs=0.05)


def test_a_name_that_shadows_a_class_fades_and_one_that_the_traffic_does_not_show_gains_nothing_by_it() -> None:
    made = Discriminant(
        measured(*anchors()),
        heard({2: (90.0, 90.0, CENTRES[2]), 3: (10.0, 10.0, CENTRES[2])}),
        np.isin(np.arange(C), [0, 1]),
        SETTINGS,
    )
    before = torch.tensor([[0.1, 0.1, 0.3, 0.4, 0.1]])
    after = made.shared_out(before.clone(), torch.from_numpy(CENTRES[2:3]))[0]
    assert after.argmax() == 2
    assert float(after[4]) < 0.1


def test_the_fewer_anchors_there_are_the_less_they_say_about_directions() -> None:
    elongation = []
    for per_class in (10, 100, 1_000):
        axes = np.diag([3.0, 1.0, 1.0, 1.0, 1.0, 1.0]).astype(np.float32)
        vectors, classes = anchors(per_class=per_class)
        whitening = measured(vectors @ axes, classes).whitening
        singular = torch.linalg.svdvals(whitening)
        elongation.append(float(singular[0] / singular[-1]))
    assert 1.0 < elongation[0] < elongation[1] < elongation[2] < 3.0


def test_before_any_label_the_traffic_itself_is_the_unit_and_classes_are_spheres() -> None:
    random = np.random.default_rng(2)
    events = {c: around(CENTRES[[c]], 30, spread=0.4, seed=c) for c in (1, 2, 3)}
    rows = {c: (30.0, 30.0, np.asarray(z.mean(axis=0), np.float32)) for c, z in events.items()}
    settings = DiscriminantSettings(weight=6.0, shrinkage=0.3)
    made = Discriminant(None, heard(rows, labelled_events=0), np.zeros(C, np.bool_), settings)
    means = np.array([z.mean(axis=0) for z in events.values()], np.float64)
    left_out = np.mean([
        np.square(z[i] - np.delete(z, i, axis=0).mean(axis=0, dtype=np.float64)).sum()
        for z in events.values()
        for i in range(len(z))
    ])  # fmt: skip
    z = random_unit(7, D, seed=8)
    square = np.square(z[:, None].astype(np.float64) - means).sum(axis=2) / left_out  # (7, 3)
    between = np.square(means[:, None] - means).sum(axis=2) / left_out
    shares = 1 / np.exp(-5 * np.maximum(between - 2 / 30, 0) * (1 - np.eye(3))).sum(axis=1)  # (3,), f
    answer = random.dirichlet(np.ones(C), 7)
    faded = answer * np.r_[shares.prod() ** (1 / 3), shares, shares.prod() ** (1 / 3)]
    faded /= faded.sum(axis=1, keepdims=True)
    part = faded[:, 1:4] * (30 / 34)
    expected = faded.copy()
    expected[:, 1:4] -= part
    again = part * (1.0 + 2.5 * square) ** -6.0
    expected[:, 1:4] += part.sum(axis=1, keepdims=True) * again / again.sum(axis=1, keepdims=True)
    overruled = expected.argmax(axis=1) != answer.argmax(axis=1)
    assert 0 < overruled.sum() < 7
    expected[overruled] = 0.75 * answer[overruled] + 0.25 * expected[overruled]
    found = made.shared_out(torch.from_numpy(answer.astype(np.float32)), torch.from_numpy(z))
    assert found.numpy() == pytest.approx(expected, abs=1e-3)


def test_the_fewer_labels_there_are_the_less_the_rest_of_the_model_is_overruled() -> None:
    rows = {2: (40.0, 40.0, CENTRES[2]), 3: (40.0, 40.0, CENTRES[3])}
    before = torch.tensor([[0.0, 0.0, 0.4, 0.6, 0.0], [0.0, 0.0, 0.6, 0.4, 0.0]])
    overruled, agreed = [], []
    for labelled_events in (0, 50, 10**9):
        made = Discriminant(None, heard(rows, labelled_events), np.zeros(C, np.bool_), SETTINGS)
        after = made.shared_out(before.clone(), torch.from_numpy(CENTRES[[2, 2]]))[:, 2]
        overruled.append(float(after[0]))
        agreed.append(float(after[1]))
    full = overruled[2]
    assert full > 0.7
    assert overruled == pytest.approx([0.4 + 0.25 * (full - 0.4), 0.4 + 0.625 * (full - 0.4), full], abs=1e-4)
    assert agreed == pytest.approx([agreed[2]] * 3, abs=1e-6) and agreed[2] > full


def test_anchors_are_labels_too_where_the_window_has_none() -> None:
    rows = {2: (40.0, 40.0, CENTRES[2]), 3: (40.0, 40.0, CENTRES[3])}
    before = torch.tensor([[0.0, 0.0, 0.45, 0.55, 0.0]])
    z = torch.from_numpy(CENTRES[[2]])
    labelled = np.isin(np.arange(C), [0, 1])
    taught = measured(*anchors(per_class=25))
    window, none = (
        Discriminant(taught, heard(rows, events), labelled, SETTINGS).shared_out(before.clone(), z)
        for events in (50, 0)
    )
    torch.testing.assert_close(window, none)


def test_traffic_of_one_and_the_same_picture_divides_by_nothing() -> None:
    same = np.asarray(CENTRES[0].astype(np.float16), np.float32)
    made = Discriminant(None, heard({0: (9.0, 9.0, same), 1: (9.0, 9.0, same)}), np.zeros(C, np.bool_), SETTINGS)
    before = torch.tensor([[0.6, 0.3, 0.1, 0.0, 0.0]])
    after = made.shared_out(before.clone(), torch.from_numpy(CENTRES[[0]]))
    assert torch.isfinite(after).all() and float(after.sum()) == pytest.approx(1.0)
    assert float(after[0, 0] / after[0, 1]) == pytest.approx(2.0, rel=1e-3)


def test_traffic_that_labels_explain_whole_moves_nothing() -> None:
    rows = {2: (9.0, 0.0, CENTRES[2]), 3: (9.0, 0.0, CENTRES[3])}
    made = Discriminant(None, heard(rows), np.zeros(C, np.bool_), SETTINGS)
    before = torch.tensor([[0.5, 0.1, 0.2, 0.1, 0.1]])
    torch.testing.assert_close(made.shared_out(before.clone(), torch.from_numpy(CENTRES[[2]])), before)
