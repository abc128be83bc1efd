import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from stream_adapter.adapter.latent_updates.maps import (
    FitSettings,
    Maps,
    Problem,
    blend,
    fit,
    gates,
    identity_maps,
    solve,
)
from tests.adapter.anchor_sets import around, random_unit

SETTINGS = FitSettings(logit_scale=100.0, gamma=10.0, gate=1.0, steps=100, learning_rate=1e-3, rho=1e4)
D = 32


def settings(**changes: Any) -> FitSettings:
    return FitSettings(**{name: changes.get(name, getattr(SETTINGS, name)) for name in SETTINGS.__slots__})


def unit(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1).to(
        dtype
    )


def problem(classes: int = 4, per_class: int = 5, confusion: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Anchors (n, d), classes (n,), texts (S, d): every picture is drawn towards the next class's text."""
    texts = unit(classes, D, seed=1)
    labels = torch.arange(classes * per_class) % classes
    drawn = texts[labels] + confusion * texts[(labels + 1) % classes] + 0.5 * unit(len(labels), D, seed=2)
    return normalize(drawn, dim=1), labels, texts


def loss(maps: Maps, vectors: Tensor, labels: Tensor, texts: Tensor, s: FitSettings) -> Tensor:
    """The fit's loss as it is written down, for autograd."""
    images = maps.image(vectors, torch.full((len(vectors),), s.gate, dtype=vectors.dtype))
    adapted = maps.text(texts, torch.full((len(texts),), s.gate, dtype=vectors.dtype))
    identity = torch.eye(vectors.shape[1], dtype=vectors.dtype)
    held_back = sum(
        ((weight - identity) ** 2).mean() + (bias**2).mean()
        for weight, bias in zip(maps.weight, maps.bias, strict=True)
    )
    total: Tensor = cross_entropy(s.logit_scale * images @ adapted.T, labels) + s.rho * held_back
    return total


@pytest.mark.parametrize("gate", [1.0, 0.5])
def test_the_fit_takes_the_steps_of_the_loss_as_it_is_written_down(gate: float) -> None:
    s = settings(gate=gate, steps=100)
    vectors, labels, texts = problem()
    vectors, texts = normalize(vectors.double(), dim=1), normalize(texts.double(), dim=1)
    maps = Maps(torch.eye(D).double().repeat(2, 1, 1).requires_grad_(), torch.zeros(2, D).double().requires_grad_())
    optimiser = torch.optim.Adam(maps, lr=1e-3, amsgrad=True)
    for _ in range(s.steps):
        optimiser.zero_grad()
        loss(maps, vectors, labels, texts, s).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    found = fit(vectors.float(), labels, texts.float(), s)
    torch.testing.assert_close(found.weight.double(), maps.weight.detach(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.bias.double(), maps.bias.detach(), rtol=0, atol=1e-6)


def test_a_fit_learns_its_anchors_without_touching_its_arguments() -> None:
    vectors, labels, texts = problem()
    copies = [value.clone() for value in (vectors, labels, texts)]
    assert ((vectors @ texts.T).argmax(1) == labels).float().mean() < 0.8
    maps = fit(vectors, labels, texts, SETTINGS)
    ones = torch.ones(len(vectors))
    hits = (maps.image(vectors, ones) @ maps.text(texts, ones[: len(texts)]).T).argmax(1) == labels
    assert hits.all()
    assert not maps.weight.requires_grad
    assert all(torch.equal(value, copy) for value, copy in zip((vectors, labels, texts), copies, strict=True))


def test_the_same_anchors_give_the_same_bits() -> None:
    one, other = fit(*problem(), SETTINGS), fit(*problem(), SETTINGS)
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)


def test_a_stronger_hold_keeps_the_maps_closer_to_identity() -> None:
    distances = [
        float((fit(*problem(), settings(rho=rho, steps=200)).weight - torch.eye(D)).norm()) for rho in (1e2, 1e4, 1e6)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.1 * distances[0]


@pytest.mark.parametrize(("classes", "gate"), [(1, 1.0), (4, 0.0)])
def test_with_nothing_to_learn_the_maps_stay_at_identity(classes: int, gate: float) -> None:
    maps = fit(*problem(classes), settings(gate=gate))
    assert torch.equal(maps.weight, torch.eye(D).repeat(2, 1, 1))
    assert torch.equal(maps.bias, torch.zeros(2, D))


def test_gates_fall_with_the_distance_and_are_each_rows_own() -> None:
    cosines = torch.tensor([1.0, 1.0 + 1e-6, 0.9, 0.0, -0.7])
    expected = [0.5, 0.5, 0.5 * math.exp(-1.0), 0.5 * math.exp(-10.0), 0.5 * math.exp(-10.0)]
    assert gates(cosines, settings(gate=0.5)).tolist() == pytest.approx(expected, rel=1e-4)


def test_a_blend_is_unit_and_goes_from_the_vector_itself_to_the_mapped_one() -> None:
    vectors = unit(3, D, seed=4)
    weight = torch.eye(D) + 0.3 * torch.randn(D, D, generator=torch.Generator().manual_seed(5))
    bias = torch.full((D,), 0.1)
    blended = blend(vectors, weight, bias, torch.tensor([0.0, 0.3, 1.0]))
    torch.testing.assert_close(blended.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(blended[0], vectors[0])
    torch.testing.assert_close(blended[2], normalize(weight @ vectors[2] + bias, dim=0))
    mapped = normalize(weight @ vectors[1] + bias, dim=0)
    torch.testing.assert_close(blended[1], normalize(0.3 * mapped + 0.7 * vectors[1], dim=0))


def test_identity_maps_change_nothing_at_any_gate() -> None:
    vectors = unit(5, D, seed=6)
    maps = identity_maps(D, torch.device("cpu"))
    for adapted in (maps.image(vectors, torch.linspace(0, 1, 5)), maps.text(vectors, torch.linspace(0, 1, 5))):
        torch.testing.assert_close(adapted, vectors)


# A fit as a whole -----------------------------------------------------------------------------------------------------

TEXTS = random_unit(4, 16, seed=1)


def whole(labelled: tuple[int, ...] = (0, 1, 2), per_class: int = 3, texts: Tensor | None = None) -> Problem:
    return Problem(
        vectors=around(TEXTS[list(labelled)], per_class, spread=3.0),
        classes=np.repeat(np.array(labelled, np.int64), per_class),
        labelled=np.isin(np.arange(4), labelled),
        texts=torch.from_numpy(TEXTS) if texts is None else texts,
        version="v",
    )


def test_texts_are_adapted_by_their_own_nearness_to_labelled_ones() -> None:
    fitted = solve(whole(), settings(steps=30))
    moved = torch.linalg.vector_norm(fitted.texts - torch.from_numpy(TEXTS), dim=1)
    assert (moved[:3] > 1e-3).all()
    # The last class has no anchors; its text moves as little as it is near to others.
    assert moved[3] < 0.1 * moved[:3].min()
    torch.testing.assert_close(fitted.texts.norm(dim=1), torch.ones(4))
    assert fitted.version == "v"


def test_classes_without_anchors_have_no_part_in_the_fit() -> None:
    others = torch.from_numpy(np.concatenate([TEXTS[:3], random_unit(1, 16, seed=77)]))
    one, other = (solve(problem, settings(steps=30)) for problem in (whole(), whole(texts=others)))
    assert torch.equal(one.maps.weight, other.maps.weight)


def test_labels_are_matched_to_texts_when_labelled_classes_are_scattered() -> None:
    scattered = whole(labelled=(1, 3), per_class=6)
    fitted = solve(scattered, settings(steps=30))
    images = fitted.maps.image(torch.from_numpy(scattered.vectors), torch.ones(12))
    hits = (images @ fitted.texts[[1, 3]].T).argmax(1).numpy() * 2 + 1
    assert (hits == scattered.classes).mean() > 0.9
