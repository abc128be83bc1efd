"""AnytimeCL: a tuned and an untouched model, mixed by how often each was right on the class that it predicts.

    p = α p_tuned + (1 − α) p0,   α = c_tuned(y_tuned) / (c_tuned(y_tuned) + c_0(y_0)),   y = argmax of each

c(y) is a running accuracy on labels of class y, each counted before the tuned model learns it: a plain mean over the
first 100, then an exponential one with decay 0.99. A class without labels has c_tuned = 0; where neither model's answer
has labels, p = p0. The tuned model is trained with each label on a batch of 32, the new one and others drawn evenly
over the classes, by cross-entropy over the classes that have labels and an extra logit "other", which is also to be the
answer once the true class is taken out (weight 0.1); AdamW, learning rate 6e-4, weight decay 0.05. All as published.

What differs: the published method tunes the last transformer block; vectors have none, so a residual linear map
z' = norm(z + V z), V = 0 at the start, takes its place. p_tuned is over the classes with labels.

Reference: Zhu, Gong, Hoiem, *Anytime Continual Learning for Open Vocabulary Classification*, ECCV 2024,
arXiv 2409.08518.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from stream_adapter.evaluate.draws import generator
from stream_adapter.evaluate.methods.base import LabelsOnly, Memory, Probabilities, Task, zero_shot_probabilities

BATCH = 32
LEARNING_RATE = 6e-4
WEIGHT_DECAY = 0.05
OTHER_WEIGHT = 0.1
PLAIN = 100
DECAY = 0.99


class AnytimeCl(LabelsOnly):
    """Keeps every labelled vector; one optimiser step per label."""

    def __init__(self, task: Task) -> None:
        classes, dimension = task.texts.shape
        self._task = task
        self._texts = torch.from_numpy(np.array(task.texts))
        self._memory = Memory(dimension)
        self._random = generator(task.seed, "anytime")
        self._map = torch.zeros(dimension, dimension, requires_grad=True)
        self._other = torch.zeros(1, requires_grad=True)
        self._optimiser = torch.optim.AdamW([self._map, self._other], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        self._right = np.zeros((2, classes))  # running accuracy, tuned and untouched
        self._counts = np.zeros(classes, np.int64)

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """The mixture, each event by its own α."""
        untouched = zero_shot_probabilities(vectors, self._task)  # (B, C)
        if not len(self._memory):
            return untouched
        tuned = self._tuned(vectors)  # (B, C)
        trust_tuned = self._right[0, tuned.argmax(axis=1)]  # (B,)
        trust_untouched = self._right[1, untouched.argmax(axis=1)]  # (B,)
        both = trust_tuned + trust_untouched
        # Where zero-shot's answer has no labels, nothing is known against it: it is trusted fully.
        unknown = self._counts[untouched.argmax(axis=1)] == 0
        share = np.where(unknown | (both == 0.0), 0.0, trust_tuned / np.where(both == 0.0, 1.0, both))[:, None]
        return np.asarray(share * tuned + (1.0 - share) * untouched, np.float32)

    def learn(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """For each label: count who was right, then one step."""
        untouched = zero_shot_probabilities(vectors, self._task)  # (n, C)
        for row, label in enumerate(classes.tolist()):
            tuned = self._tuned(vectors[row : row + 1]) if len(self._memory) else untouched[row : row + 1]
            self._count(label, np.array([tuned[0].argmax() == label, untouched[row].argmax() == label], np.float64))
            self._memory.add(vectors[row : row + 1], classes[row : row + 1])
            self._step()

    def _count(self, label: int, hits: NDArray[np.float64]) -> None:
        known = self._counts[label]
        keep = known / (known + 1) if known < PLAIN else DECAY
        self._right[:, label] = keep * self._right[:, label] + (1.0 - keep) * hits
        self._counts[label] += 1

    def _tuned(self, vectors: NDArray[np.float32]) -> Probabilities:
        """The tuned model's probabilities (B, C), 0 for classes without labels."""
        seen = np.flatnonzero(np.bincount(self._memory.classes, minlength=len(self._texts)))  # (S,)
        with torch.no_grad():
            probabilities = self._logits(torch.from_numpy(vectors), seen).softmax(dim=1)[:, :-1]  # (B, S)
        answer = np.zeros((len(vectors), len(self._texts)), np.float32)
        answer[:, seen] = (probabilities / probabilities.sum(dim=1, keepdim=True).clamp_min(1e-12)).numpy()
        return answer

    def _logits(self, vectors: Tensor, seen: NDArray[np.int64]) -> Tensor:
        """Logits (B, S + 1): of the classes with labels, and "other"."""
        adapted = normalize(vectors + vectors @ self._map.T, dim=1)  # (B, d)
        known = self._task.scale * adapted @ self._texts[torch.from_numpy(seen)].T  # (B, S)
        return torch.cat([known, self._other.expand(len(vectors), 1)], dim=1)

    def _step(self) -> None:
        rows = self._drawn()  # (b,)
        seen, position = np.unique(self._memory.classes, return_inverse=True)
        targets = torch.from_numpy(position[rows])
        logits = self._logits(torch.from_numpy(self._memory.vectors[rows]), seen)  # (b, S + 1)
        without = logits.scatter(1, targets[:, None], float("-inf"))
        other = torch.full_like(targets, len(seen))
        loss = cross_entropy(logits, targets) + OTHER_WEIGHT * cross_entropy(without, other)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def _drawn(self) -> NDArray[np.int64]:
        """Rows of a training batch: the newest label, and others, first a class, then one of its labels."""
        newest = len(self._memory) - 1
        order = np.argsort(self._memory.classes, kind="stable")
        _, first, count = np.unique(self._memory.classes[order], return_index=True, return_counts=True)
        drawn = self._random.integers(0, len(first), min(BATCH - 1, newest))
        place = first[drawn] + (self._random.random(len(drawn)) * count[drawn]).astype(np.int64)
        return np.concatenate([[newest], order[place]])
