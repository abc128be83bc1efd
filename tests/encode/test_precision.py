import pytest
import torch

from stream_adapter.encode import precision
from stream_adapter.encode.precision import choose

CPU = torch.device("cpu")
TOWER = torch.nn.Conv2d(3, 4, 4)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)],
)
def test_a_named_precision_is_taken_at_its_word(name: precision.Precision, dtype: torch.dtype) -> None:
    assert choose(name, CPU, TOWER) is dtype


def instructions(monkeypatch: pytest.MonkeyPatch, **capabilities: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)


def timings(monkeypatch: pytest.MonkeyPatch, *, float32: float, bfloat16: float) -> None:
    def seconds(matrix: torch.Tensor) -> float:
        assert matrix.shape == (4, 48)
        return bfloat16 if matrix.dtype == torch.bfloat16 else float32

    monkeypatch.setattr(precision, "_seconds", seconds)


def test_auto_is_float32_without_instructions_and_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    instructions(monkeypatch, avx2=True, amx_bf16=False)
    monkeypatch.setattr(precision, "_seconds", None)
    assert choose("auto", CPU, TOWER) is torch.float32
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # torch before 2.10
    assert choose("auto", CPU, TOWER) is torch.float32


@pytest.mark.parametrize("instruction", ["amx_bf16", "avx512_bf16", "arm_bf16"])
def test_auto_is_bfloat16_where_it_is_measured_to_be_faster(monkeypatch: pytest.MonkeyPatch, instruction: str) -> None:
    instructions(monkeypatch, **{instruction: True})
    timings(monkeypatch, float32=4.0, bfloat16=1.0)
    assert choose("auto", CPU, TOWER) is torch.bfloat16


def test_auto_stays_with_float32_where_instructions_do_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    instructions(monkeypatch, avx512_bf16=True)
    timings(monkeypatch, float32=1.1, bfloat16=1.0)
    assert choose("auto", CPU, TOWER) is torch.float32


def test_measuring_leaves_the_tower_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    instructions(monkeypatch, amx_bf16=True)
    choose("auto", CPU, TOWER)
    assert TOWER.weight.dtype is torch.float32


@pytest.mark.parametrize(("supported", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_auto_is_half_precision_on_cuda(monkeypatch: pytest.MonkeyPatch, supported: bool, dtype: torch.dtype) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert choose("auto", torch.device("cuda"), TOWER) is dtype
