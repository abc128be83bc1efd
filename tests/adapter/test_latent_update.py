import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from stream_adapter.adapter.latent_update import FitSettings, Maps, blend, fit, gates, gradient, identity_maps

SETTINGS = FitSettings(logit_scale=100.0, damping=1.0, steps=100, learning_rate=1e-3, rho=1e4)
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
    images = maps.image(vectors, torch.full((len(vectors),), s.damping, dtype=vectors.dtype))
    adapted = maps.text(texts, torch.full((len(texts),), s.damping, dtype=vectors.dtype))
    identity = torch.eye(vectors.shape[1], dtype=vectors.dtype)
    held_back = sum(
        ((weight - identity) ** 2).mean() + (bias**2).mean()
        for weight, bias in zip(maps.weight, maps.bias, strict=True)
    )
    total: Tensor = cross_entropy(s.logit_scale * images @ adapted.T, labels) + s.rho * held_back
    return total


@pytest.mark.parametrize("damping", [1.0, 0.5, 0.05])
def test_the_gradient_in_closed_form_is_autograds(damping: float) -> None:
    s = settings(damping=damping)
    vectors, labels, texts = problem()
    vectors, texts = normalize(vectors.double(), dim=1), normalize(texts.double(), dim=1)
    noise = torch.Generator().manual_seed(3)
    weight = torch.eye(D).double() + 0.05 * torch.randn(2, D, D, generator=noise, dtype=torch.float64)
    bias = 0.05 * torch.randn(2, D, generator=noise, dtype=torch.float64)
    maps = Maps(weight.requires_grad_(), bias.requires_grad_())
    found = gradient(maps, vectors, labels, texts, s)
    expected = torch.autograd.grad(loss(maps, vectors, labels, texts, s), maps)
    torch.testing.assert_close(tuple(found), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("damping", [1.0, 0.5])
def test_the_fit_takes_the_steps_that_torch_takes_with_autograd(damping: float) -> None:
    s = settings(damping=damping, steps=100)
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


@pytest.mark.parametrize(("classes", "damping"), [(1, 1.0), (4, 0.0)])
def test_with_nothing_to_learn_the_maps_stay_at_identity(classes: int, damping: float) -> None:
    maps = fit(*problem(classes), settings(damping=damping))
    assert torch.equal(maps.weight, torch.eye(D).repeat(2, 1, 1))
    assert torch.equal(maps.bias, torch.zeros(2, D))


def test_gates_fall_with_the_distance_and_are_each_rows_own() -> None:
    cosines = torch.tensor([1.0, 1.0 + 1e-6, 0.9, 0.0, -0.7])
    expected = [0.5, 0.5, 0.5 * math.exp(-1.0), 0.5 * math.exp(-10.0), 0.5 * math.exp(-10.0)]
    assert gates(cosines, gamma=10.0, damping=0.5).tolist() == pytest.approx(expected, rel=1e-4)


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
