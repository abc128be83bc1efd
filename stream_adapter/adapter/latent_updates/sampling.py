"""Which anchors enter a fit, where there are too many for all of them."""

import numpy as np
from numpy.typing import NDArray


def take_part(classes: NDArray[np.int64], keys: NDArray[np.uint64], most: int) -> NDArray[np.int64]:
    """An even share of each class, small classes whole; of a class those whose ids hash lowest.

    When one anchor comes or goes, next to all others that took part still do.

    Args:
        classes: int64 (n,), of the anchors.
        keys: uint64 (n,), `key_of` their ids.
        most: how many may enter.

    Returns:
        int64 (m,), their places in order of their keys: a function of the set of anchors.
    """
    order = np.lexsort((keys, classes))  # by class, then by key
    grouped = classes[order]
    rank = np.arange(len(order)) - np.searchsorted(grouped, grouped)  # within its class
    # The first of each class, then the second of each, and so on: smaller classes are through earlier.
    chosen = order[np.lexsort((grouped, rank))[:most]]
    return chosen[np.argsort(keys[chosen], kind="stable")]
