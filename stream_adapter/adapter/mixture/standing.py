"""What each class is taken for: a_c, formula (4) of docs/method.md."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.learner import Standing, standing_of
from stream_adapter.adapter.mixture.constants import FEW, KAPPA
from stream_adapter.adapter.mixture.evidence import Evidence


def presence_of(evidence: Evidence, labelled: NDArray[np.bool_]) -> tuple[NDArray[np.float32], Standing]:
    """How far each class is held to be in the traffic, and what it is called: float32 (C,), 1 for labelled ones.

    The traffic must show an unlabelled class (with n events' worth and C classes, κ (n + C) events), and what it shows
    must not be what labelled events explain (purity).
    """
    unexplained = evidence.unexplained
    shown = np.minimum(1.0, (unexplained + 1.0) / (KAPPA * (evidence.weight + len(labelled))))
    purity = (unexplained + FEW) / (np.maximum(evidence.given, unexplained) + FEW)
    presence = np.where(labelled, 1.0, np.square(shown) * purity).astype(np.float32)
    there = (shown >= 1.0) & (evidence.weight > 0.0)
    standing = standing_of(labelled, presence, there)
    return presence, replace(standing, sure=evidence.sure, moves=evidence.moves, surest=evidence.surest)
