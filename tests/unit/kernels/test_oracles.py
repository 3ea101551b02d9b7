"""Every kernel in each of its forms against its definition, written out in float64 and with none of its code.

Forms: eager, through torch.compile, and on a GPU its own products where one is there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor

from magi_core.kernels import fused, products
from magi_core.kernels.compilation import Compiler, compiling
from magi_core.kernels.fused import FP8_MAX

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
FORMS = {"eager": None, "compiled": Compiler()}
TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 4e-3}  # relative L2: the last bits of each format
EPS = 1e-6


def random(*shape: int, seed: int = 1, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def error(actual: Tensor, expected: Tensor) -> float:
    """Relative L2."""
    return float((actual.cpu().double() - expected).norm() / expected.norm())


def run(function: Callable[..., Tensor], form: str, device: str, *args: Tensor | float) -> Tensor:
    """`function` of tensors brought to `device`, in a form that really is the one asked for."""
    compiler = FORMS[form]
    with compiling(compiler), torch.no_grad():
        out = function(*(arg.to(device) if isinstance(arg, Tensor) else arg for arg in args))
    assert compiler is None or not compiler.failed
    assert out.device.type == device
    return out


def normed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    x, weight, bias = x.double(), weight.double(), bias.double()
    centred = x - x.sum(-1, keepdim=True) / x.shape[-1]
    variance = centred.square().sum(-1, keepdim=True) / x.shape[-1]
    return centred / (variance + EPS).sqrt() * (1 + weight) + bias


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """Channels i and r + i as a complex number, turned by the angles [S, r]; the others as they are."""
    r, x = angles.shape[-1], x.double()
    pair = torch.complex(x[..., :r], x[..., r : 2 * r]) * torch.exp(1j * angles.double())[:, None]
    return torch.cat([pair.real, pair.imag, x[..., 2 * r :]], dim=-1)


def nearest_e4m3(x: Tensor) -> Tensor:
    """The bytes of the float8_e4m3fn nearest to each number, of two equally near the even one."""
    codes = torch.arange(0x7F, dtype=torch.uint8)  # those of positive numbers; 0x7F is none
    exponent, fraction = (codes >> 3).double(), (codes & 7).double()
    values = torch.where(exponent == 0, fraction / 8 * 2**-6, (1 + fraction / 8) * 2 ** (exponent - 7))
    distance = (x.double().abs()[..., None] - values).abs() + (codes & 1) * 1e-12
    return codes[distance.argmin(-1)] | x.signbit().to(torch.uint8) << 7


every_device = pytest.mark.parametrize("device", DEVICES)
every_form = pytest.mark.parametrize("form", FORMS)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=["fp32", "bf16"])


@every_device
def test_rotate(device: str) -> None:
    x, angles = random(2, 7, 3, 16), random(7, 6, seed=2, scale=3.0)
    out = run(fused.rotate, "eager", device, x, angles.sin(), angles.cos())
    assert error(out, turned(x, angles)) < TOLERANCE[torch.float32]


@every_device
@every_dtype
def test_layer_norm_1p(device: str, dtype: torch.dtype) -> None:
    x, weight, bias = (t.to(dtype) for t in (random(3, 5, 48, scale=4.0) + 2, random(48, seed=2), random(48, seed=3)))
    out = run(fused.layer_norm_1p, "eager", device, x, weight, bias, EPS)
    assert out.dtype == dtype and error(out, normed(x, weight, bias)) < TOLERANCE[dtype]


@every_device
@every_form
@every_dtype
def test_normalise_and_rotate(form: str, device: str, dtype: torch.dtype) -> None:
    x, angles = random(1, 9, 4, 32).to(dtype), random(9, 12, seed=2, scale=3.0)
    weight, bias = random(32, seed=3), random(32, seed=4)
    out = run(fused.normalise_and_rotate, form, device, x, angles.sin(), angles.cos(), weight, bias, EPS)
    assert out.dtype == dtype and error(out, turned(normed(x, weight, bias), angles)) < TOLERANCE[dtype]


@every_device
@every_form
@every_dtype
def test_gated_silu(form: str, device: str, dtype: torch.dtype) -> None:
    x = random(1, 6, 64, scale=3.0).to(dtype)
    out = run(fused.gated_silu, form, device, x)
    gate, value = x.double()[..., :32], x.double()[..., 32:]
    assert out.dtype == dtype and error(out, gate / (1 + (-gate).exp()) * value) < TOLERANCE[dtype]


@every_device
@every_form
@every_dtype
def test_add_gated(form: str, device: str, dtype: torch.dtype) -> None:
    x, gate = random(1, 3, 8, 32).to(dtype), random(1, 3, 32, seed=2).tanh().to(dtype)
    update, weight, bias = random(1, 3, 8, 32, seed=3), random(32, seed=4), random(32, seed=5)
    out = run(fused.add_gated, form, device, x, update, gate, weight, bias, EPS)
    expected = torch.stack([normed(update[:, i] * gate.double()[:, i, None], weight, bias) for i in range(3)], dim=1)
    assert out.dtype == dtype and error(out, x.double() + expected) < TOLERANCE[dtype]


@every_device
@every_form
@every_dtype
def test_quantise(form: str, device: str, dtype: torch.dtype) -> None:
    """To the last bit, also halfway between two numbers, beyond the largest and below the smallest."""
    x = (random(1, 64, 16) * torch.logspace(-4, 3, 16)).to(dtype)
    x[0, 0] = torch.tensor([FP8_MAX, -FP8_MAX, 1e6, -1e6, 0.0, 17.0, 18.0, 19.0] * 2)
    scale = torch.tensor([0.05, 1.0, 3.0, 0.5] * 4)
    scale[:8] = 1.0
    out = run(fused.quantise, form, device, x, scale)
    rounded = (x.float() / scale).clamp(-FP8_MAX, FP8_MAX).to(torch.bfloat16)
    assert out.dtype == torch.float8_e4m3fn and out.shape == x.shape
    assert torch.equal(out.cpu().view(torch.uint8), nearest_e4m3(rounded.float()))


@every_device
@every_dtype
def test_multiply_fp32(device: str, dtype: torch.dtype) -> None:
    """Far closer than one rounding to bfloat16 would leave it (2e-3)."""
    x, weight = random(2, 24, 512).to(dtype), random(48, 512, seed=2).to(dtype)
    out = run(products.multiply_fp32, "eager", device, x, weight)
    assert out.dtype == torch.float32 and out.shape == (2, 24, 48)
    assert error(out, x.double() @ weight.double().T) < (2e-6 if device == "cpu" else 2e-5)


@every_device
@pytest.mark.parametrize("outputs", [48, 40], ids=["whole tiles", "odd sides"])
def test_multiply_fp8(device: str, outputs: int) -> None:
    """One rounding of the result to bfloat16, and the sums of GPU units, which keep fewer bits than float32."""
    x, weight = (t.to(torch.float8_e4m3fn) for t in (random(32, 256), random(outputs, 256, seed=2)))
    scale = torch.tensor([0.003])
    out = run(products.multiply_fp8, "eager", device, x, weight, scale)
    expected = x.double() @ weight.double().T * scale.double()
    assert out.dtype == torch.bfloat16 and out.shape == (32, outputs)
    assert error(out, expected) < (2e-3 if device == "cpu" else 4e-3)


@pytest.mark.parametrize("module", [fused, products], ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_kernel_has_its_oracle(module: ModuleType) -> None:
    kernels = {
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert kernels and {f"test_{name}" for name in kernels} <= set(globals())
