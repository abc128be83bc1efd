"""Batch norms are taken into convolutions, and vectors stay what they were."""

import torch

from stream_adapter.encode.fusing import fused


class Tower(torch.nn.Module):
    """A convolution, a norm that has seen something, and a mean."""

    def __init__(self, *, branches: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.norm = torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16)
        self.norm.running_mean.uniform_(-1.0, 1.0)
        self.norm.running_var.uniform_(0.5, 2.0)
        self.branches = branches

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.branches and images.sum() > 1e9:
            return images.mean((2, 3))
        return torch.relu(self.norm(self.convolution(images))).mean((2, 3))


def norms(tower: torch.nn.Module) -> int:
    return sum(isinstance(module, torch.nn.BatchNorm2d) for module in tower.modules())


def test_it_has_no_norm_left_and_gives_the_same_vectors() -> None:
    tower = Tower().eval()
    lean = fused(tower, (8, 8))
    images = torch.rand(5, 3, 8, 8)
    assert norms(tower) == 1
    assert norms(lean) == 0
    with torch.inference_mode():
        torch.testing.assert_close(lean(images), tower(images), rtol=1e-4, atol=1e-5)


def test_one_that_cannot_be_traced_stays_as_it_is() -> None:
    tower = Tower(branches=True).eval()
    assert fused(tower, (8, 8)) is tower


def test_one_whose_norm_still_learns_stays_as_it_is() -> None:
    tower = Tower().train()
    assert fused(tower, (8, 8)) is tower


def test_one_without_a_norm_stays_as_it_is() -> None:
    tower = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).eval()
    assert fused(tower, (8, 8)) is tower


def test_what_comes_out_otherwise_is_not_taken(monkeypatch) -> None:
    tower = Tower().eval()
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    monkeypatch.setattr("stream_adapter.encode.fusing.fuse", lambda _: other)
    assert fused(tower, (8, 8)) is tower
