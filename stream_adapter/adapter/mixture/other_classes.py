"""What the untouched model says of known pictures over other classes, from what it said over the former ones."""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.mixture.backend import Array, Backend


def over_other_classes(
    before: Array, vectors: Array, classes: Classes, same: NDArray[np.int64], backend: Backend
) -> Array:
    """Probabilities over other classes; where classes were only added, next to nothing is computed anew.

    Args:
        before: float32 (n, C before), over the former classes.
        vectors: float32 (n, d), unit.
        classes: C of them.
        same: int64 (C,), the former class with the same text; −1 where there is none.
        backend: computes.

    Returns:
        Float32 (n, C).
    """
    xp, n, known = backend.xp, len(before), before.shape[1]
    new = np.flatnonzero(same < 0)
    if not n or not np.array_equal(same[:known], np.arange(known)) or len(new) > known:
        return backend.softmax(classes.logit_scale * (vectors @ backend.put(classes.texts).T))
    # p = e^(logit − norm), and the likeliest class gives the norm.
    best = backend.get(xp.argmax(before, axis=1))
    likeliest = backend.get(xp.max(before, axis=1)).astype(np.float64)
    at_host = backend.get(vectors)
    norm = classes.logit_scale * np.einsum("nd,nd->n", at_host, classes.texts[best]) - np.log(likeliest)
    more = np.exp(classes.logit_scale * (at_host @ classes.texts[new].T) - norm[:, None])  # float64 (n, new)
    share = 1.0 / (1.0 + more.sum(axis=1, keepdims=True))
    after = backend.zeros(n, len(classes))
    after[:, :known] = before
    after[:, :known] *= backend.put(share.astype(np.float32))
    after[:, known:] = backend.put((more * share).astype(np.float32))
    return after
