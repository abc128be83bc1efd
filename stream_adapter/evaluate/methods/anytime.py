"""AnytimeCL: a tuned and an untouched model, mixed class by class by how often each was right on that class.

    p_y ∝ α_y p_tuned,y + (1 − α_y) p0_y,   α_y = (1 − o) c_tuned(y) / ((1 − o) c_tuned(y) + c_0(y))

p_tuned is over all classes; o is the probability of an extra logit "other" beside them. c(y) is a model's running
accuracy among the classes that have labels, on labels of class y, each counted before it is trained on: a plain mean
over the first 100, then an exponential one with decay 0.99. A class without labels has α = 0. The tuned model is
trained with each label on a batch of 32, the new one and others drawn evenly over the classes, by cross-entropy over
the classes that have labels and "other", which is also to be the answer once the true class is taken out (weight 0.1);
AdamW, learning rate 6e-4, weight decay 0.05. All as in the published code.

What differs: the published method tunes the last transformer block; vectors have none, so a residual linear map
z' = norm(z + V z), V = 0 at the start, takes its place.

Reference: Zhu, Gong, Hoiem, *Anytime Continual Learning for Open Vocabulary Classification*, ECCV 2024,
arXiv 2409.08518.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from stream_adapter.evaluate.draws import generator
from stream_adapter.evaluate.methods.base import (
    LabelsOnly,
    Memory,
    Probabilities,
    Task,
    shares,
    zero_shot_probabilities,
)

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
        """The mixture, each class by its own α."""
        untouched = zero_shot_probabilities(vectors, self._task)  # (B, C)
        if not len(self._memory):
            return untouched
        tuned, other = self._tuned(vectors)  # (B, C), (B, 1)
        trust = (1.0 - other) * self._right[0]  # (B, C)
        alpha = trust / np.maximum(trust + self._right[1], 1e-8)
        return shares(alpha * tuned + (1.0 - alpha) * untouched, untouched)

    def learn(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """For each label: count who is right among the classes with labels, then one step."""
        for row, label in enumerate(classes.tolist()):
            vector = vectors[row : row + 1]  # (1, d)
            self._memory.add(vector, classes[row : row + 1])
            seen = np.unique(self._memory.classes)  # (S,)
            with torch.no_grad():
                tuned = self._logits(torch.from_numpy(vector), seen)[0, :-1].numpy()  # (S,)
            untouched = vector[0] @ self._task.texts[seen].T  # (S,)
            hits = [seen[scores.argmax()] == label for scores in (tuned, untouched)]
            self._count(label, np.array(hits, np.float64))
            self._step()

    def _count(self, label: int, hits: NDArray[np.float64]) -> None:
        known = self._counts[label]
        keep = known / (known + 1) if known < PLAIN else DECAY
        self._right[:, label] = keep * self._right[:, label] + (1.0 - keep) * hits
        self._counts[label] += 1

    def _tuned(self, vectors: NDArray[np.float32]) -> tuple[Probabilities, NDArray[np.float32]]:
        """The tuned model's probabilities over all classes (B, C), and that of "other" beside them (B, 1)."""
        with torch.no_grad():
            logits = self._logits(torch.from_numpy(vectors), np.arange(len(self._texts)))  # (B, C + 1)
            other = logits.softmax(dim=1)[:, -1:]
            return logits[:, :-1].softmax(dim=1).numpy(), other.numpy()

    def _logits(self, vectors: Tensor, classes: NDArray[np.int64]) -> Tensor:
        """Logits (B, K + 1): of these classes (K,), and "other"."""
        adapted = normalize(vectors + vectors @ self._map.T, dim=1)  # (B, d)
        known = self._task.scale * adapted @ self._texts[torch.from_numpy(classes)].T  # (B, K)
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
