"""An even division of a budget among classes, from which the smaller ones are spared."""

import numpy as np
from numpy.typing import NDArray


def allowances(
    counts: NDArray[np.int64], newest: NDArray[np.int64], budget: int, budget_per_class: int
) -> NDArray[np.int64]:
    """How many anchors each class may keep.

    Args:
        counts: int64 (C,), anchors per class.
        newest: int64 (C,), event time of each class's newest anchor; anything where there is none.
        budget: most anchors in total.
        budget_per_class: most anchors of one class.

    Returns:
        int64 (C,), at most `counts`.
    """
    allowed = np.minimum(counts, budget_per_class)
    if allowed.sum() <= budget:
        return allowed
    # The water level: the largest L for which all classes cut down to L fit. From small to large classes, each either
    # fits below the even share of what is left, or sets the level together with all the larger ones.
    left, sizes = budget, np.sort(allowed)
    level = 0
    for index, size in enumerate(sizes.tolist()):
        level = left // (len(sizes) - index)
        if size > level:
            break
        left -= size
    above = np.flatnonzero(allowed > level)
    allowed = np.minimum(allowed, level)
    spare = budget - int(allowed.sum())
    # Newest first; of equally new classes the one that comes first in the vocabulary.
    allowed[above[np.lexsort((above, -newest[above]))[:spare]]] += 1
    return allowed
