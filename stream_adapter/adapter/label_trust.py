"""How far each anchor's label can be trusted, judged by the other anchors around it.

Each anchor is predicted as if its own label were not known: q_i, over the S labelled classes, is the zero-shot
distribution among them, corrected by local kernel ridge on the residuals of other anchors, squared and renormalised.
With a share ε of wrong labels, uniform over the S − 1 other classes, the label y_i is right with probability

    t_i = (1 − ε) q_iy / ((1 − ε) q_iy + ε (1 − q_iy) / (S − 1))

and ε is estimated along with it, by expectation maximisation: the mean of 1 − t_i. Where labels are clean ε comes out
near 0 and hardly any label is doubted. An anchor then stands for the mixture t_i onehot(y_i) + (1 − t_i) q_i.

The anchors that judge are those that take part in the fit, so that the work grows with their number and no faster.

The model of the noise is the simplest of those in Natarajan, Dhillon, Ravikumar, Tewari, *Learning with Noisy Labels*,
NeurIPS 2013; judging a label by predictions that did not see it is what confident learning does (Northcutt, Jiang,
Chuang, JAIR 70, 2021).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from stream_adapter.adapter.local_residual import LocalSettings, nearest_fit

_SWEEPS = 2  # the second one judges by residuals that doubt what the first one doubted
_ROUNDS = 10  # of expectation maximisation for ε
_LEAST = 10  # with fewer judges there is nothing to judge by
_SMALLEST = 1e-4  # probability that the others' verdict leaves to any labelled class
_BLOCK = 256  # anchors judged at a time
_ALTERNATIVES = 2  # classes besides its label that an anchor may stand for


class LabelTrust(NamedTuple):
    """What n anchors' labels are taken for.

    Attributes:
        trust: float32 (n,), t: probability that the label is right.
        classes: int64 (n, a), the classes that each anchor teaches, its label first.
        values: float32 (n, a), how much of each; rows sum to at most 1.
        noise: ε.
    """

    trust: Tensor
    classes: Tensor
    values: Tensor
    noise: float


def label_trust(
    vectors: Tensor, classes: Tensor, judges: Tensor, texts: Tensor, logit_scale: float, settings: LocalSettings
) -> LabelTrust:
    """Judge n labels.

    Args:
        vectors: float32 (n, d), the anchors, unit.
        classes: int64 (n,), their labels, as rows of `texts`.
        judges: int64 (m,), the anchors that judge.
        texts: float32 (S, d), unit, of the labelled classes.
        logit_scale: τ.
        settings: of local kernel ridge.
    """
    n, n_classes = len(vectors), len(texts)
    if len(judges) < _LEAST or n_classes < 2:
        return LabelTrust(torch.ones(n), classes[:, None], torch.ones(n, 1), 0.0)
    court = _Court(vectors[judges], classes[judges], texts, logit_scale, settings)
    place = torch.full((n,), -1).index_put_((judges,), torch.arange(len(judges)))  # (n,), of a judge among the judges
    trust, verdicts, shares = torch.empty(n), [], []
    for start in range(0, n, _BLOCK):
        part = slice(start, start + _BLOCK)
        verdict = court.verdict(vectors[part], place[part])  # (b, S)
        trust[part] = court.trust(verdict, classes[part])
        top = verdict.topk(min(_ALTERNATIVES, n_classes), dim=1)
        verdicts.append(top.indices)
        shares.append(top.values * (1.0 - trust[part])[:, None])
    taught = torch.cat([classes[:, None], torch.cat(verdicts)], dim=1)  # (n, 1 + alternatives)
    return LabelTrust(trust, taught, torch.cat([trust[:, None], torch.cat(shares)], dim=1), court.noise)


class _Court:
    """The judges, and what they have come to think of each other."""

    def __init__(
        self, vectors: Tensor, classes: Tensor, texts: Tensor, logit_scale: float, settings: LocalSettings
    ) -> None:
        self._vectors, self._texts, self._logit_scale, self._settings = vectors, texts, logit_scale, settings
        self.noise = 0.1
        prior = self._prior(vectors)  # (m, S)
        given = torch.zeros_like(prior).scatter_(1, classes[:, None], 1.0)
        self._residuals = given - prior
        blocks = [torch.arange(at, min(at + _BLOCK, len(vectors))) for at in range(0, len(vectors), _BLOCK)]
        for _ in range(_SWEEPS):
            verdict = torch.cat([self.verdict(vectors[part], part) for part in blocks])
            agreed = verdict.gather(1, classes[:, None])[:, 0]  # q_iy (m,)
            for _ in range(_ROUNDS):
                doubt = float((1.0 - self._right(agreed)).sum())
                # One wrong label in 20 more, as a prior: a few anchors prove nothing.
                self.noise = min(max((doubt + 1.0) / (len(vectors) + 20), 1e-3), 0.5)
            trust = self._right(agreed)[:, None]
            self._residuals = trust * given + (1.0 - trust) * verdict - prior

    def verdict(self, vectors: Tensor, own: Tensor) -> Tensor:
        """Float32 (b, S): what the judges say about vectors (b, d), those at place `own` (b,) not asked; -1 for all."""
        neighbours, fit = nearest_fit(vectors, self._vectors, self._settings, without=own)
        corrected = torch.einsum("bk,bks->bs", fit.weights, self._residuals[neighbours]) + self._prior(vectors)
        corrected = corrected.clamp_(min=_SMALLEST)
        squared = (corrected / corrected.sum(dim=1, keepdim=True)).square_()
        return squared / squared.sum(dim=1, keepdim=True)

    def trust(self, verdict: Tensor, classes: Tensor) -> Tensor:
        """Float32 (b,): t of labels (b,) under verdicts (b, S)."""
        return self._right(verdict.gather(1, classes[:, None])[:, 0])

    def _right(self, agreed: Tensor) -> Tensor:
        right = (1.0 - self.noise) * agreed
        return right / (right + self.noise * (1.0 - agreed) / (len(self._texts) - 1))

    def _prior(self, vectors: Tensor) -> Tensor:
        return (self._logit_scale * vectors @ self._texts.T).softmax(dim=1)
