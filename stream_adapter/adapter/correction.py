"""The correction: what is taken from anchors and traffic, beyond the maps, to answer an event.

    base        p = softmax(τ z'·t'_c + 2 log a_c)          z', t' of LLU, a the classes' aliveness
    residual    R_i = target_i − p(a_i), on labelled classes; Δ(z) = Σ_i w_i R_i over the nearest anchors
    labelled    P(labelled | z), from masses and the novelty of z (`open_set.py`), less `protection` in log-odds
    verdict     P(labelled | z) · norm(max(p + Δ, 0)^s) over the labelled classes (`sharpness.py`),
                (1 − P(labelled | z)) · norm(p) over the others
    answer      the verdict, less what shadows of other classes lose (`local_shares.py`), shared out again among classes
                whose means are known (`discriminant.py`)

It comes in two parts. `AnchorReadings` cost a pass over all anchors and depend on these alone; `Correction` adds what
the traffic says, from a few numbers an anchor, and is made anew whenever that changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import linear

from stream_adapter.adapter.discriminant import AnchorMeans, Discriminant, DiscriminantSettings, measure
from stream_adapter.adapter.label_trust import LabelTrust
from stream_adapter.adapter.local_residual import LocalFit, LocalSettings, nearest_fit
from stream_adapter.adapter.open_set import LeftOut, OpenSet, calibrate
from stream_adapter.adapter.presence_evidence import ClassKind, PresenceEvidence
from stream_adapter.adapter.sharpness import sharpness

_TOP = 32  # logits kept of an anchor: of the others' mass only the sum
_RESIDUALS = 8  # most probable labelled classes whose residuals an anchor keeps, besides those that it teaches
_BLOCK = 2_048  # anchors whose logits are held at a time
_LEFT_OUT = 512  # anchors that are examples for the open set
_LEFT_OUT_BLOCK = 64  # of them whose cosines with all anchors are held at a time
_SMALLEST = 1e-6  # of a mass in log-odds
_FLOOR = 1e-9  # of a class's probability before the groups get their shares


@dataclass(frozen=True, slots=True)
class CorrectionSettings:
    """What a correction depends on besides anchors and evidence.

    Attributes:
        local: of local kernel ridge.
        kappa: κ, the share of the traffic from which on a class counts as present.
        protection: log-odds taken from labelled classes in favour of all others.
        discriminant: how far the classes' means are believed.
    """

    local: LocalSettings
    kappa: float
    protection: float
    discriminant: DiscriminantSettings


@dataclass(frozen=True, eq=False, slots=True)
class AllAnchors:
    """Every anchor, in an order that all workers agree on: what a correction needs and the maps do not.

    Attributes:
        vectors: float32 (n, d).
        classes: int64 (n,), class indices.
        rows: int64 (n,), row ids.
        taking_part: int64 (m,), those that enter the fit.
    """

    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    rows: NDArray[np.int64]
    taking_part: NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class AnchorReadings:
    """What n anchors say before the traffic is asked.

    Attributes:
        rows: int64 (n,), row ids: by these an anchor is found.
        classes: int64 (n,), their labels.
        top_classes: int64 (n, t), the classes of the largest logits under the maps.
        top_logits: float32 (n, t), those logits.
        rest: float32 (n,), logsumexp of all other logits; -inf where there are none.
        trust: what the labels are taken for, by label.
        examples: int64 (e,), the anchors that are examples for the open set.
        example_logits: float32 (2, e, C), theirs, with the maps and without.
        novelty: float32 (2, e), theirs beside all other anchors, and beside those of other classes.
        neighbours: int64 (e, k), the other anchors around each of them.
        weights: float32 (e, k), the local weights of these.
        means: the labelled classes' means, and in what unit distances from them are.
    """

    rows: NDArray[np.int64]
    classes: Tensor
    top_classes: Tensor
    top_logits: Tensor
    rest: Tensor
    trust: LabelTrust
    examples: Tensor
    example_logits: Tensor
    novelty: Tensor
    neighbours: Tensor
    weights: Tensor
    means: AnchorMeans


def read_anchors(
    anchors: AllAnchors,
    trust: LabelTrust,
    logits_of: Callable[[Tensor], Tensor],
    zero_shot_logits_of: Callable[[Tensor], Tensor],
    settings: CorrectionSettings,
) -> AnchorReadings:
    """Read all anchors: a pure function.

    Args:
        anchors: at least one.
        trust: of their labels, as class indices.
        logits_of: logits (b, C) under the maps of anchors (b, d).
        zero_shot_logits_of: the same without the maps.
        settings: of the correction.
    """
    vectors, classes = torch.from_numpy(anchors.vectors), torch.from_numpy(anchors.classes)
    parts = []
    for start in range(0, len(vectors), _BLOCK):
        logits = logits_of(vectors[start : start + _BLOCK]).cpu()  # (b, C)
        top = logits.topk(min(_TOP, logits.shape[1]), dim=1)
        parts.append((top.indices, top.values, logits.scatter_(1, top.indices, -torch.inf).logsumexp(dim=1)))
    top_classes, top_logits, rest = (torch.cat(column) for column in zip(*parts, strict=True))
    taking_part = torch.from_numpy(anchors.taking_part)
    examples = taking_part[:: max(1, -(-len(taking_part) // _LEFT_OUT))]  # an even choice
    example_logits = torch.stack([model(vectors[examples]).cpu() for model in (logits_of, zero_shot_logits_of)])
    left_out = [
        _left_out(vectors, classes, examples[start : start + _LEFT_OUT_BLOCK], settings.local)
        for start in range(0, len(examples), _LEFT_OUT_BLOCK)
    ]
    novelty, neighbours, weights = zip(*left_out, strict=True)
    return AnchorReadings(
        rows=anchors.rows,
        classes=classes,
        top_classes=top_classes,
        top_logits=top_logits,
        rest=rest,
        trust=trust,
        examples=examples,
        example_logits=example_logits,
        novelty=torch.cat(novelty, dim=1),
        neighbours=torch.cat(neighbours),
        weights=torch.cat(weights),
        means=measure(vectors, classes, trust.trust, settings.discriminant),
    )


def _left_out(
    vectors: Tensor, classes: Tensor, examples: Tensor, local: LocalSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Anchors (b,) as events: novelty without themselves and without their classes (2, b), neighbours and weights."""
    neighbours, alone = nearest_fit(vectors[examples], vectors, local, without=examples)
    same = classes[examples][:, None] == classes[None]  # (b, n)
    without_class = nearest_fit(vectors[examples], vectors, local, mask=same)[1].novelty
    return torch.stack([alone.novelty, without_class]), neighbours, alone.weights


class Correction:
    """Answers events; immutable.

    Attributes:
        evidence: of the traffic.
        labelled: bool (C,), the classes that have anchors.
        aliveness: float64 (C,).
        kinds: what each class is taken for.
        open_set: how the labelled classes' share is decided.
        sharpness: s, the exponent of the distribution among them.

    Args:
        readings: of the anchors; None without any.
        labelled: bool (C,).
        evidence: of the traffic.
        settings: see `CorrectionSettings`.
    """

    def __init__(
        self,
        readings: AnchorReadings | None,
        labelled: NDArray[np.bool_],
        evidence: PresenceEvidence,
        settings: CorrectionSettings,
    ) -> None:
        self.evidence = evidence
        self.labelled = labelled
        self.aliveness = evidence.aliveness(labelled, settings.kappa)
        self.kinds: list[ClassKind] = evidence.kinds(labelled, settings.kappa)
        self.open_set = OpenSet()
        self.sharpness = 1.0
        self._settings = settings
        # Twice: a class that is hardly there gets less of the mass, and keeps less of what it got.
        self._log_prior = torch.from_numpy(2.0 * np.log(self.aliveness)).float()  # (C,)
        self._is_labelled = torch.from_numpy(labelled)  # (C,)
        self._exponents = torch.ones(len(labelled))  # (C,)
        self._groups = torch.stack([self._is_labelled, ~self._is_labelled]).float()  # (2, C)
        self._alive_groups = self._groups * self._log_prior.exp()  # (2, C)
        self._places = np.empty(0, np.int64)
        self._rows = np.empty(0, np.int64)
        self._residual_classes = torch.empty(0, 0, dtype=torch.int64)
        self._residual_values = torch.empty(0, 0)
        means = None if readings is None else readings.means
        self._discriminant = Discriminant(means, evidence, labelled, settings.discriminant)
        if readings is not None:
            self._places = np.argsort(readings.rows)
            self._rows = readings.rows[self._places]
            self._take_in(readings)

    def known(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Int64, shaped as `rows`: places of anchors by row id, -1 of those that came after the fit."""
        if not len(self._rows):
            return np.full(rows.shape, -1, np.int64)
        at = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
        return np.where(self._rows[at] == rows, self._places[at], -1)

    def of_traffic(self, images: Tensor, zero_shot: Tensor) -> Tensor:
        """The answer before any label: what zero-shot says, as far as the traffic bears it out. Float32 (B, C).

        Args:
            images: float32 (B, d), unit.
            zero_shot: float32 (B, C), probabilities of the untouched model; not changed.
        """
        if not self.evidence.events:
            return zero_shot.clone()
        alive = zero_shot * self._log_prior.exp()  # (B, C)
        return self._discriminant.shared_out(alive.div_(alive.sum(dim=1, keepdim=True)), images)

    def probabilities(self, images: Tensor, logits: Tensor, zero_shot: Tensor, places: Tensor, fit: LocalFit) -> Tensor:
        """The answer, float32 (B, C).

        Args:
            images: float32 (B, d), unit.
            logits: float32 (B, C), τ z'·t'; used up.
            zero_shot: float32 (B, C), probabilities of the untouched model.
            places: int64 (B, k), the nearest anchors as `known` gives them; anything where the weight is 0.
            fit: the local systems around the events.
        """
        answer = self._corrected(logits.add_(self._log_prior).softmax(dim=1), places, fit.weights)  # (B, C)
        mass, kept = linear(answer, self._groups).split_with_sizes((1, 1), dim=1)  # (B, 1) of labelled, of unlabelled
        zero_shot_odds = linear(zero_shot, self._alive_groups).clamp_(min=_SMALLEST).log_()  # (B, 2)
        odds = self.open_set.mass * ((1.0 - kept).clamp(min=_SMALLEST).log() - kept.clamp(min=_SMALLEST).log())
        odds += self.open_set.zero_shot_mass * (zero_shot_odds[:, :1] - zero_shot_odds[:, 1:])
        odds += self.open_set.novelty * fit.novelty[:, None] + (self.open_set.offset - self._settings.protection)
        share = torch.where(kept > 0.0, odds.sigmoid_(), 1.0)  # P(labelled | z)
        answer.mul_(torch.where(self._is_labelled, 1.0 / mass, 1.0 / kept.clamp(min=_FLOOR)))
        answer.log_().mul_(self._exponents).exp_()  # twice as fast as pow
        sharpened = linear(answer, self._groups[:1])  # (B, 1)
        verdict = answer.mul_(torch.where(self._is_labelled, share / sharpened, 1.0 - share))
        return self._discriminant.shared_out(verdict, images)

    def _corrected(self, base: Tensor, places: Tensor, weights: Tensor) -> Tensor:
        """max(p + Δ, 0), for base probabilities (B, C), used up, and the weights (B, k) of anchors at `places`."""
        columns = self._residual_classes[places].flatten(1)  # (B, k · r): the residuals of all k, class by class
        residuals = (weights[:, :, None] * self._residual_values[places]).flatten(1)
        return base.scatter_add_(1, columns, residuals).clamp_(min=_FLOOR)

    def _take_in(self, readings: AnchorReadings) -> None:
        """Residuals and open set from the anchors' base probabilities under this traffic."""
        classes, labelled = readings.top_classes, self._is_labelled[readings.top_classes]  # (n, t), (n, t)
        # The classes below the top are not told apart: they are as alive as classes are on average.
        rest = readings.rest + self._log_prior.exp().mean().log()
        logits = torch.cat([readings.top_logits + self._log_prior[classes], rest[:, None]], dim=1)  # (n, t + 1)
        base = logits.softmax(dim=1)[:, :-1]  # (n, t)
        of_labelled = base * labelled
        top = of_labelled.topk(min(_RESIDUALS, base.shape[1]), dim=1)
        self._residual_classes = torch.cat([readings.trust.classes, classes.gather(1, top.indices)], dim=1)  # (n, r)
        self._residual_values = torch.cat([readings.trust.values, -top.values], dim=1)  # (n, r)
        if self.labelled.sum() > 1:
            self._calibrate(readings)

    def _calibrate(self, readings: AnchorReadings) -> None:
        """Open set and sharpness from anchors that are left out."""
        base = (readings.example_logits + self._log_prior).softmax(dim=2)  # (2, e, C)
        own = readings.classes[readings.examples].expand(2, -1)[:, :, None]  # (2, e, 1)
        trust = readings.trust.trust[readings.examples]
        columns = (
            base @ self._is_labelled.float(),  # (2, e)
            base.gather(2, own)[:, :, 0],  # (2, e)
            readings.novelty,
            trust,
        )
        self.open_set = calibrate(LeftOut(*(column.double().numpy() for column in columns)))
        corrected = self._corrected(base[0], readings.neighbours, readings.weights)[:, self._is_labelled]  # (e, S)
        position = self._is_labelled.cumsum(0) - 1  # (C,), column of each labelled class
        self.sharpness = sharpness(corrected.log_(), position[readings.classes[readings.examples]], trust)
        self._exponents = torch.where(self._is_labelled, self.sharpness, 1.0)
