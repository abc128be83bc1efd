import numpy as np
import pytest

from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.errors import VocabularyError


def unit(count: int, d: int = 8, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_vectors_are_kept_as_unit_float32_that_nobody_can_change() -> None:
    given = unit(3)
    vocabulary = Vocabulary(("a", "b", "c"), given)
    np.testing.assert_allclose(vocabulary.text_vectors, given, atol=1e-7)
    assert vocabulary.text_vectors.dtype == np.float32
    assert vocabulary.logit_scale == 100.0
    assert vocabulary.d == 8
    with pytest.raises(ValueError, match="read-only"):
        vocabulary.text_vectors[0, 0] = 1.0
    given[0, 0] = 9.0
    assert vocabulary.text_vectors[0, 0] != 9.0


def test_vectors_that_went_through_float16_are_renormalised() -> None:
    vocabulary = Vocabulary(("a", "b"), unit(2, 512).astype(np.float16))
    norms = np.linalg.norm(vocabulary.text_vectors.astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, 1.0, atol=1e-6)


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c")])
def test_as_many_vectors_as_names(names: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError, match=rf"{len(names)} class names need .* found \(2, 8\)"):
        Vocabulary(names, unit(2))


@pytest.mark.parametrize("vectors", [np.zeros((2, 0), np.float32), unit(2)[0], unit(2)[None]])
def test_vectors_are_a_matrix(vectors: np.ndarray) -> None:
    with pytest.raises(VocabularyError, match="need text vectors"):
        Vocabulary(("a", "b"), vectors)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 3.0])
def test_a_vector_that_is_not_unit_or_not_finite_is_named(value: float) -> None:
    vectors = unit(3)
    vectors[1] = value
    with pytest.raises(VocabularyError, match=r"1 of 3 text vectors are not unit vectors .*'dog'"):
        Vocabulary(("cat", "dog", "cow"), vectors)


@pytest.mark.parametrize("names", [(), ("a", ""), ("a", "a")])
def test_names_are_checked(names: tuple[str, ...]) -> None:
    with pytest.raises(VocabularyError):
        Vocabulary(names, unit(2)[: len(names)])


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_the_logit_scale_is_positive(scale: float) -> None:
    with pytest.raises(VocabularyError, match="logit scale"):
        Vocabulary(("a", "b"), unit(2), scale)


def test_the_hash_covers_names_order_vectors_and_scale_and_nothing_else() -> None:
    vectors = unit(2)
    same = [
        Vocabulary(("a", "b"), vectors),
        Vocabulary(("a", "b"), vectors.copy(), 100.0),
        Vocabulary(("a", "b"), vectors.astype(np.float64)),
    ]
    others = [
        Vocabulary(("a", "c"), vectors),
        Vocabulary(("b", "a"), vectors),
        Vocabulary(("b", "a"), vectors[::-1]),
        Vocabulary(("a", "b"), unit(2, seed=1)),
        Vocabulary(("a", "b"), vectors, 50.0),
        Vocabulary(("a", "b "), vectors),
    ]
    assert len({vocabulary.hash for vocabulary in same}) == 1
    assert len({vocabulary.hash for vocabulary in (*same, *others)}) == 1 + len(others)
    assert len(same[0].hash) == 16


def test_names_do_not_run_into_each_other_in_the_hash() -> None:
    vectors = unit(2)
    assert Vocabulary(("ab", "c"), vectors).hash != Vocabulary(("a", "bc"), vectors).hash


def test_the_hash_is_the_same_tomorrow() -> None:
    assert Vocabulary(("cat", "dog"), np.eye(2, dtype=np.float32)).hash == "c19442bb903573d1"
