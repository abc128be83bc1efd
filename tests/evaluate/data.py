"""Small features with a known structure, for tests of the protocols."""

import numpy as np

from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.evaluate.features import Features
from tests.fakes import unit

CLASSES = ("cat", "dog", "horse", "house", "boat", "tree")
DOMAINS = ("photo", "cartoon")


def make_features(events: int = 240, *, d: int = 16, unknown: int = 0, shift: float = 1.0, seed: int = 0) -> Features:
    """Six noisy classes in two domains, `events` in all, the first `unknown` of which have no class of the vocabulary.

    Pictures lie around places that are `shift` away from where the texts are, so that labels help.
    """
    random = np.random.default_rng(seed)
    texts = unit(random.normal(size=(len(CLASSES), d)))
    places = unit(texts + shift * unit(random.normal(size=texts.shape)))
    labels = np.arange(events) % len(CLASSES)
    vectors = unit(places[labels] + 0.25 * random.normal(size=(events, d)))
    labels[:unknown] = -1
    domains = np.array(DOMAINS)[(np.arange(events) >= events // 2).astype(int)]
    return Features(vectors, labels, domains, Vocabulary(CLASSES, texts, 10.0), "made")
