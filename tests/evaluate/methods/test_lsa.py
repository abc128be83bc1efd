import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.evaluate.methods.lsa import BUFFER, LAMBDA, LabelShiftAware, label_shares
from stream_adapter.evaluate.methods.zero_shot import ZeroShot
from tests.evaluate.methods.small import TASK, show, vectors


def test_certain_beliefs_by_hand() -> None:
    # Certain events: the data's shares are 3/4, 1/4, 0, mixed with the uniform prior by λ = 0.9 · 4/2000.
    beliefs = np.eye(3, dtype=np.float32)[[0, 0, 0, 1]]
    trust = LAMBDA * 4 / BUFFER
    np.testing.assert_allclose(label_shares(beliefs), trust * np.array([0.75, 0.25, 0]) + (1 - trust) / 3)


def test_one_step_of_a_full_buffer_is_a_fixed_point() -> None:
    random = np.random.default_rng(0)
    beliefs = random.dirichlet([0.3, 0.3, 0.3], BUFFER).astype(np.float32)
    found = label_shares(beliefs)
    responsible = beliefs * found / (beliefs @ found)[:, None]
    np.testing.assert_allclose(found, LAMBDA * responsible.mean(axis=0) + (1 - LAMBDA) / 3, atol=1e-3)


def test_the_correction_by_hand() -> None:
    method = LabelShiftAware(TASK)
    show(method, np.repeat(vectors((1, 0, 0)), 300, axis=0))
    point = vectors((0.6, 0.6, 0.529))
    zero_shot = ZeroShot(TASK).predict(point)[0]
    before = ZeroShot(TASK).predict(np.repeat(vectors((1, 0, 0)), 300, axis=0))
    shares = label_shares(np.concatenate([before, zero_shot[None]]))
    expected = zero_shot * shares / (zero_shot * shares).sum()
    np.testing.assert_allclose(method.predict(point)[0], expected, rtol=1e-5)
    assert method.predict(point)[0][0] > zero_shot[0], "a class that is frequent in the traffic is more probable"


@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_shares_are_shares(seed: int, events: int) -> None:
    beliefs = np.random.default_rng(seed).dirichlet(np.ones(5), events).astype(np.float32)
    found = label_shares(beliefs)
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(), 1.0)
