"""What zero-shot is sure of stays what it says, as labels measure it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.confidence import BINS, histogram
from stream_adapter.adapter.mixture.constants import WORTH
from stream_adapter.adapter.protection import DOUBT, LEVEL_KEY, Limits, Protected, level_of
from stream_adapter.config import AdapterConfig
from stream_adapter.errors import VocabularyError
from tests.fakes import unit

NAMES = ["cat", "dog", "giraffe", "wall"]
TEXTS = np.eye(4, 32, dtype=np.float32)
CAT, DOG, GIRAFFE, WALL = range(4)


def limits_of(protection: float, sure: list[float], counts: tuple[float, ...] = (10, 10, 0, 0)) -> Limits:
    """Cats that zero-shot takes for walls, so surely."""
    n = len(sure)
    return Limits(
        np.full(4, protection),
        np.array(counts, np.float64),
        np.array(sure, np.float32),
        np.full(n, WALL),
        np.full(n, CAT),
        np.ones(n),
    )


def probabilities(top: int, p: float) -> NDArray[np.float32]:
    row = np.full((1, 4), (1.0 - p) / 3.0, np.float32)
    row[0, top] = p
    return row


@given(st.lists(st.floats(0.25, 0.96875, width=32), max_size=60), st.floats(0.01, 9.0))
def test_of_what_labels_would_win_they_win_the_share_that_was_promised(sure: list[float], v: float) -> None:
    limit = limits_of(v, sure).limits[WALL]
    won = sum(value <= limit for value in sure)
    assert won + 1.001 >= np.exp(-v) * (len(sure) + 1), "labelled classes keep what is theirs"
    assert sum(value < limit for value in sure) <= np.exp(-v) * (len(sure) + 1) + 1e-6, "and not more"


def test_the_surer_of_two_stays_and_the_other_is_won() -> None:
    limits = limits_of(0.5, [0.3, 0.4, 0.5, 0.6, 0.7])
    cat = probabilities(CAT, 0.9)
    assert limits.held(probabilities(GIRAFFE, 0.9), cat).tolist() == [True]
    assert limits.held(probabilities(GIRAFFE, 0.4), cat).tolist() == [False]
    assert limits.held(probabilities(DOG, 0.9), cat).tolist() == [False], "a dog has labels of its own"
    assert limits.held(probabilities(GIRAFFE, 0.9), probabilities(GIRAFFE, 0.5)).tolist() == [False]


def test_before_any_label_was_given_away_every_answer_stands() -> None:
    assert limits_of(0.5, []).held(probabilities(GIRAFFE, 0.3), probabilities(CAT, 0.9)).tolist() == [True]
    assert limits_of(0.0, []).held(probabilities(GIRAFFE, 0.3), probabilities(CAT, 0.9)).tolist() == [False]


def test_copies_count_once() -> None:
    one, copies = limits_of(0.2, [0.3, 0.9]), [*[0.3] * 1_000, 0.9]
    many = limits_of(0.2, copies)
    weighed = Limits(
        np.full(4, 0.2),
        np.array([10.0, 10, 0, 0]),
        np.array(copies, np.float32),
        np.full(1_001, WALL),
        np.full(1_001, CAT),
        np.array([*[1e-3] * 1_000, 1.0]),
    )
    assert many.limits[WALL] < one.limits[WALL]
    assert weighed.limits[WALL] == one.limits[WALL]


def test_an_event_leaves_for_a_name_without_labels_only_what_it_hardly_is() -> None:
    for moves in (np.zeros((2, BINS)), None):
        assert most_left(moves) == pytest.approx(DOUBT, abs=0.01), "no labelled event has tried"
    assert most_left(tried(1)) == pytest.approx(within(1), abs=0.01)
    assert most_left(tried(1_000)) > 0.48, "wherever labels have lost nothing"


def test_also_where_zero_shots_class_has_labels_and_may_be_given_to_others_that_have() -> None:
    """Labels of other views of a class make it narrow, and every name without labels fits better then."""
    left = probabilities(DOG, 0.4)
    limits = limits_of(0.5, [0.4], (10, 10, 0, 0))
    giraffe, cat = probabilities(GIRAFFE, 0.5), probabilities(CAT, 0.5)
    assert limits.held(left, giraffe).tolist() == [True]
    assert limits.held(left, cat).tolist() == [False]
    assert limits_of(0.0, [0.4], (10, 10, 0, 0)).held(left, giraffe).tolist() == [False]


@given(st.lists(st.floats(0.25, 1.0, width=32), max_size=40), st.floats(0.0, 1.0))
def test_of_a_name_that_is_there_nine_events_in_ten_show_it(sure: list[float], surest: float) -> None:
    """Each labelled event in turn is taken for the only one of a class that nobody labels."""
    passed_over = 0
    for one in range(len(sure)):
        limits = shown_by([*sure[:one], *sure[one + 1 :]], sure[one])
        assert limits.shown is not None and limits.shown[:3].all(), "of others zero-shot is certain"
        passed_over += not limits.shown[WALL]
    assert passed_over <= 0.1 * len(sure)
    few = shown_by(sure[:8], surest)
    assert few.shown is not None and few.shown.all(), "so few labels say nothing of it"


def shown_by(sure: list[float], surest: float) -> Limits:
    """Of walls zero-shot was so sure at most, and so sure of labelled events."""
    n = len(sure)
    most = np.array([1.0, 1.0, 1.0, surest])
    cats, ones = np.full(n, CAT), np.ones(n)
    return Limits(np.full(4, 0.5), np.zeros(4), np.array(sure, np.float32), cats, cats, ones, tried(1_000), most)


def test_an_event_leaves_for_a_name_without_labels_only_if_zero_shot_was_once_sure_of_that() -> None:
    giraffe, wall = probabilities(GIRAFFE, 0.4), probabilities(WALL, 0.9)
    sure = [0.3, *[0.6] * 19]
    assert shown_by(sure, 0.59).held(giraffe, wall).tolist() == [True]
    assert shown_by(sure, 0.61).held(giraffe, wall).tolist() == [False]
    assert shown_by([0.3, 0.3, *[0.6] * 18], 0.31).held(giraffe, wall).tolist() == [False], "a tenth is less sure"


def most_left(moves: NDArray[np.float64] | None, level: int = 0) -> float:
    """What a wall has left at most where it becomes a giraffe, which has no labels."""
    one = np.ones(0)
    counts = np.array([1_000.0, 1_000.0, 0.0, 0.0])
    limits = Limits(np.full(4, 0.5), counts, one, one.astype(int), one.astype(int), one, moves, level=level)
    left = np.arange(0.001, 0.5, 0.002, dtype=np.float32)
    answer = np.stack([0 * left, 0 * left, 1 - left, left], axis=1)
    held = limits.held(np.repeat(probabilities(WALL, 0.3), len(left), axis=0), answer)
    assert (np.diff(held.astype(int)) >= 0).all(), "the surer the move, the sooner it is let through"
    return float(left[~held].max(initial=0.0))


def moves_of(left: list[float], lost: list[float]) -> NDArray[np.float64]:
    """Of labelled events what their own class would have left, and the right answers lost by that."""
    sure, weights = 1.0 - np.array(left), np.array(lost)
    return np.stack([histogram(sure, weights), histogram(sure, np.square(weights))])


def tried(number: int) -> NDArray[np.float64]:
    """So many right answers won."""
    return moves_of([1e-4] * number, [-1.0] * number)


def within(number: float) -> float:
    """What may be left where so many labelled events have tried it."""
    return DOUBT + (0.5 - DOUBT) * number / (number + WORTH)


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from([-1.0, 0.25, 1.0])), max_size=12))
@example([*[(0, -1.0)] * 6, (1, -1.0), (2, 1.0), (2, 1.0)])
def test_moves_between_names_go_as_far_as_labelled_events_do_not_lose(asked: list[tuple[int, float]]) -> None:
    left = np.array([1.0 / (1.0 + np.exp(one / 3 + 1 / 6)) for one, _ in asked])  # in the middle of a stratum each
    lost = np.array([one for _, one in asked])
    most = most_left(moves_of(left.tolist(), lost.tolist()))
    through = lost[left < most]
    assert through.sum() <= np.sqrt(np.square(through).sum()) + 1e-3 or most < 0.004
    assert most <= within(np.square(lost).sum())
    for bound in 1.0 / (1.0 + np.exp(np.arange(1, 14) / 3)):  # the strata's
        through = lost[left < bound]
        if bound < within(np.square(lost).sum()) and through.sum() <= np.sqrt(np.square(through).sum()):
            assert most > bound - 0.004, "what they lose in one place they may win in another"


def test_what_may_not_go_in_any_case_makes_up_for_nothing() -> None:
    moves = moves_of([0.3, 0.3, 0.37, *[0.45] * 6], [1.0, 1.0, *[-1.0] * 7])
    assert within(9) == pytest.approx(0.339, abs=0.001), "the two that would be lost may go, those that are won may not"
    assert most_left(moves) < 0.3


def test_right_answers_lost_stop_moves_that_are_no_surer_and_others_that_are_won_let_them_go_again() -> None:
    even = moves_of([1e-4] * 100, [1.0, -1.0] * 50)
    assert most_left(even + moves_of([0.3] * 5, [1.0] * 5)) > 0.47, "that may be chance"
    twenty = even + moves_of([0.3] * 20, [1.0] * 20)
    assert 0.2 < most_left(twenty) < 0.3
    assert most_left(twenty + moves_of([0.4] * 10, [-1.0] * 10)) > 0.47
    assert most_left(twenty, level=1) == pytest.approx(most_left(twenty) / 2, abs=0.003)
    assert most_left(moves_of([0.0, 0.0], [1.0, 1.0])) == 0.0, "the surest ones were lost"


def test_a_class_with_few_labels_is_protected_and_says_itself_how_sure_it_must_be() -> None:
    cat = probabilities(CAT, 0.9)
    assert limits_of(0.5, [0.4], (10, 10, 2, 0)).held(probabilities(GIRAFFE, 0.9), cat).tolist() == [True]
    assert limits_of(0.5, [0.4], (10, 10, 5, 0)).held(probabilities(GIRAFFE, 0.9), cat).tolist() == [False]


def around(place: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=(count, 32)).astype(np.float32)
    return unit(place + 0.05 * noise)


def adapter(**more: float | str | dict[str, float]) -> Adapter:
    """A method that knows nothing but cats, which zero-shot takes for walls."""
    made = Adapter(TEXTS, NAMES, 8.0, AdapterConfig(**{"method": "knn", **more}))  # type: ignore[arg-type]
    for start in range(0, 60, 10):
        cats = around(0.8 * TEXTS[WALL] + 0.6 * TEXTS[CAT], 10, start)
        ids = [f"{start + row}" for row in range(10)]
        made.update(ids, cats, [Anchor(id, cat, "cat", 0) for id, cat in zip(ids, cats, strict=True)])
    return made


UNSURE = around(0.8 * TEXTS[WALL] + 0.6 * TEXTS[CAT], 20, 8)


def test_labels_win_what_zero_shot_is_unsure_of_and_leave_it_the_rest() -> None:
    free, bound, kept = adapter(protection=0.0), adapter(protection=0.2), adapter(protection=10.0)
    won = [(one.predict(UNSURE).adapted.argmax(axis=1) == CAT).mean() for one in (free, bound, kept)]
    assert won[0] == 1.0 and 0.5 < won[1] < 1.0 and won[2] == 0.0
    held = kept.predict(UNSURE)
    np.testing.assert_array_equal(held.adapted, held.zero_shot)
    assert len({one.version for one in (free, bound, kept)}) == 3


def test_a_class_can_have_a_protection_of_its_own() -> None:
    own = adapter(protection=0.0, protect={"wall": 10.0})
    assert (own.predict(UNSURE).adapted.argmax(axis=1) == WALL).all()
    other = adapter(protection=0.0, protect={"giraffe": 10.0})
    assert (other.predict(UNSURE).adapted.argmax(axis=1) == CAT).all()
    with pytest.raises(VocabularyError, match="zebra"):
        adapter(protect={"zebra": 1.0})


def limits_in_force(of: Adapter) -> NDArray[np.float32]:
    assert isinstance(of._learner, Protected)
    return of._learner.limits.limits


def test_a_record_doubles_and_halves_what_is_configured() -> None:
    own, twice = adapter(protection=0.2), adapter(protection=0.4)
    before = own.version
    own.follow((), {LEVEL_KEY: b"1"})
    np.testing.assert_array_equal(limits_in_force(own), limits_in_force(twice))
    assert own.version != before
    own.follow((), {LEVEL_KEY: b"-1"})
    np.testing.assert_array_equal(limits_in_force(own), limits_in_force(adapter(protection=0.1)))
    own.follow((), {LEVEL_KEY: None})
    assert own.version == before


@pytest.mark.parametrize("value", [b"", b"much", b"5", b"-9"])
def test_a_record_that_says_no_level_is_refused(value: bytes) -> None:
    own = adapter(protection=0.2)
    with pytest.raises(ValueError):
        own.follow((), {LEVEL_KEY: value})
    np.testing.assert_array_equal(limits_in_force(own), limits_in_force(adapter(protection=0.2)))


def test_limits_are_worked_out_once_for_many_batches_and_anew_with_the_next_label() -> None:
    taught = adapter(protection=0.2)
    before = limits_in_force(taught)
    taught.predict(UNSURE)
    assert limits_in_force(taught) is before
    taught.learn([Anchor("one more", UNSURE[0], "cat", 0)])
    assert limits_in_force(taught) is not before


def test_forgotten_labels_leave_no_limit_behind() -> None:
    taught = adapter(protection=0.2)
    assert limits_in_force(taught)[WALL] > 0.0
    taught.forget([anchor.anchor_id for anchor in list(taught.anchors)])
    assert limits_in_force(taught).tolist() == [0.0] * 4, "every answer stands, as before any label"


def test_the_protection_moves_over_to_other_classes_by_name() -> None:
    own = adapter(protection=0.0, protect={"wall": 10.0})
    order = [WALL, CAT, DOG, GIRAFFE]
    own.set_classes(TEXTS[order], [NAMES[index] for index in order])
    assert (own.predict(UNSURE).adapted.argmax(axis=1) == 0).all()


def test_classes_that_are_added_one_by_one_were_asked_about_as_if_they_had_always_been_there() -> None:
    added = around(0.7 * TEXTS[WALL] + 0.7 * TEXTS[CAT], 3, 500)  # one or other of them becomes zero-shot's first
    texts, names = np.concatenate([TEXTS, added]), [*NAMES, "kitten", "lion", "lynx"]
    grown = adapter(protection=0.2)
    for number in range(4, 8):
        limits_in_force(grown)
        grown.set_classes(texts[:number], names[:number])
    fresh = Adapter(texts, names, 8.0, AdapterConfig(method="knn", protection=0.2))
    fresh.learn(list(grown.anchors))
    np.testing.assert_allclose(limits_in_force(grown), limits_in_force(fresh), atol=1e-6)
    asked = [one._learner._known[1:] for one in (grown, fresh)]  # type: ignore[attr-defined]
    (sure, top, most), (sure_fresh, top_fresh, most_fresh) = asked
    np.testing.assert_allclose(np.sort(most), np.sort(most_fresh), atol=1e-5)
    np.testing.assert_allclose(np.sort(sure), np.sort(sure_fresh), atol=1e-6)
    assert sorted(top) == sorted(top_fresh) and len(set(top)) > 1


@pytest.mark.parametrize("number", range(4))
def test_a_class_that_is_described_otherwise_is_asked_about_anew(number: int) -> None:
    changed = adapter(protection=0.2)
    before = limits_in_force(changed)
    texts = TEXTS.copy()
    texts[number] = around(0.6 * TEXTS[number] + 0.8 * TEXTS[(number + 1) % 4], 1, 500)[0]
    changed.set_classes(texts, NAMES)
    fresh = Adapter(texts, NAMES, 8.0, AdapterConfig(method="knn", protection=0.2))
    fresh.learn(list(changed.anchors))
    np.testing.assert_allclose(limits_in_force(changed), limits_in_force(fresh), atol=1e-6)
    assert not np.allclose(limits_in_force(changed), before, atol=1e-4)


def test_limits_are_the_same_however_the_anchors_came() -> None:
    one = adapter(protection=0.2)
    other = Adapter(TEXTS, NAMES, 8.0, AdapterConfig(method="knn", protection=0.2))
    other.learn([replace(anchor) for anchor in reversed(list(one.anchors))])
    np.testing.assert_allclose(limits_in_force(one), limits_in_force(other), atol=1e-5)


def test_a_level_is_a_small_number_and_none_where_it_is_withdrawn() -> None:
    assert [level_of(value) for value in (None, b"0", b"-4", b"4")] == [0, 0, -4, 4]
    for wrong in (b"5", b"-5", b"", b"high", b"1.5"):
        with pytest.raises(ValueError, match=r"between -4 and 4|invalid literal"):
            level_of(wrong)
