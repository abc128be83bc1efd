"""A tower is recorded once and gives the same vectors; one that cannot be stays as it is."""

import warnings

import pytest
import torch

from stream_adapter.encode.tracing import traced

SIZE, DTYPE = (8, 8), torch.float32


class Tower(torch.nn.Module):
    """A convolution and a mean, in one of several ways."""

    def __init__(self, way: str = "plain") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.way = torch.nn.Conv2d(3, 16, 3), way

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        if self.way == "raises" and images.requires_grad is False and torch.jit.is_tracing():
            raise TypeError("not in here")
        seen = self.convolution(images)
        if self.way == "tokens":
            return seen.mean((2, 3)), seen
        # What Python computes while it is recorded is recorded as a number.
        number = int(torch.as_tensor(len(images))) if self.way == "counts" else 1
        return torch.relu(seen).mean((2, 3)) + torch.linspace(-1, 1, 16) * (number - 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("way", ["plain", "tokens"])
def test_it_gives_the_same_vectors_for_batches_of_any_size(way: str, dtype: torch.dtype) -> None:
    tower = Tower(way).eval().to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        script = traced(tower, SIZE, dtype)
    assert isinstance(script, torch.jit.ScriptModule)
    for number in (1, 2, 5):
        images = torch.rand(number, 3, *SIZE).to(dtype)
        with torch.inference_mode():
            torch.testing.assert_close(script(images), tower(images))


@pytest.mark.parametrize("way", ["raises", "counts"])
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_one_that_cannot_be_recorded_stays_as_it_is(way: str) -> None:
    tower = Tower(way).eval()
    assert traced(tower, SIZE, DTYPE) is tower


def test_without_torchscript_it_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.jit, "trace")
    tower = Tower().eval()
    assert traced(tower, SIZE, DTYPE) is tower
