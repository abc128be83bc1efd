import pytest
import torch

from stream_adapter.encode import precision
from stream_adapter.encode.precision import choose

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)],
)
def test_a_named_precision_is_taken_at_its_word(name: precision.Precision, dtype: torch.dtype) -> None:
    assert choose(name, CPU) is dtype


def instructions(monkeypatch: pytest.MonkeyPatch, **capabilities: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)


def test_auto_is_float32_without_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    instructions(monkeypatch, avx2=True, amx_bf16=False)
    assert choose("auto", CPU) is torch.float32
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # torch before 2.10
    assert choose("auto", CPU) is torch.float32


@pytest.mark.parametrize("instruction", ["amx_bf16", "avx512_bf16", "arm_bf16"])
def test_auto_is_bfloat16_with_instructions(monkeypatch: pytest.MonkeyPatch, instruction: str) -> None:
    instructions(monkeypatch, **{instruction: True})
    assert choose("auto", CPU) is torch.bfloat16


@pytest.mark.parametrize(("supported", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_is_half_precision_on_cuda(monkeypatch: pytest.MonkeyPatch, supported: bool, dtype: torch.dtype) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert choose("auto", torch.device("cuda")) is dtype
