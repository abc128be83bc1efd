import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.encode.base import check_vector
from stream_adapter.errors import ForeignVector


def read(data: bytes, fingerprint: str | None = "ours", d: int = 8) -> np.ndarray:
    return check_vector(data, fingerprint, d=d, expected="ours")


def unit(d: int = 8, seed: int = 0) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(d)
    return (vector / np.linalg.norm(vector)).astype("<f4")


def test_a_unit_vector_is_read_as_it_is() -> None:
    vector = read(unit().tobytes())
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, unit(), rtol=1e-6)


def test_a_vector_that_went_through_float16_is_renormalised() -> None:
    rounded = unit(512).astype(np.float16).astype("<f4")
    assert abs(np.linalg.norm(read(rounded.tobytes(), d=512).astype(np.float64)) - 1) < 1e-6


def test_another_encoders_vector_is_refused_with_both_fingerprints() -> None:
    with pytest.raises(ForeignVector, match=r"'theirs'.*'ours'"):
        read(unit().tobytes(), "theirs")
    with pytest.raises(ForeignVector, match="None"):
        read(unit().tobytes(), None)


@pytest.mark.parametrize("data", [b"", unit().tobytes()[:-1], unit(9).tobytes(), unit().astype("<f8").tobytes()])
def test_the_wrong_length_is_refused(data: bytes) -> None:
    with pytest.raises(ForeignVector, match=f"{len(data)} bytes; expected 32"):
        read(data)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_place(value: float) -> None:
    vector = unit()
    vector[3] = value
    with pytest.raises(ForeignVector, match="1 of 8 values are not finite, the first at 3"):
        read(vector.tobytes())


@pytest.mark.parametrize("factor", [0.0, 0.99, 1.01, 1e30, -3.0])
def test_a_vector_that_is_not_unit_is_refused_with_its_length(factor: float) -> None:
    with pytest.raises(ForeignVector, match="has length"):
        read((unit() * np.float32(factor)).tobytes())


def test_bytes_of_the_other_order_are_refused() -> None:
    with pytest.raises(ForeignVector):
        read(unit().astype(">f4").tobytes())


@given(st.binary(min_size=32, max_size=32))
def test_whatever_passes_is_a_unit_vector(data: bytes) -> None:
    try:
        vector = read(data)
    except ForeignVector:
        return
    assert np.isfinite(vector).all()
    assert abs(np.linalg.norm(vector) - 1) < 1e-6
