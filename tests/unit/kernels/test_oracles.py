"""Every kernel in each of its forms against its definition, written out in float64 and with none of its code.

Forms: plain, fast (where there is a GPU; elsewhere the plain form must come of it), and through torch.compile.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType

import pytest
import torch
from torch import Tensor

from magi_core.kernels import fast, fused, products
from magi_core.kernels.compilation import Compiler, compiling
from magi_core.kernels.fast import plain_forms, with_fast_form
from magi_core.kernels.fused import FP8_MAX, Scale

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
COMPILER = Compiler()


@contextmanager
def compiled() -> Iterator[None]:
    with plain_forms(), compiling(COMPILER):
        yield


FORMS = {"plain": plain_forms, "fast": nullcontext, "compiled": compiled}
TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 4e-3}  # relative L2: the last bits of each format
EPS = 1e-6


def random(*shape: int, seed: int = 1, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def error(actual: Tensor, expected: Tensor) -> float:
    """Relative L2."""
    return float((actual.cpu().double() - expected).norm() / expected.norm())


def run(function: Callable[..., Tensor], form: str, device: str, *args: Tensor | Scale | float) -> Tensor:
    """`function` of tensors brought to `device`, in a form that really is the one asked for."""
    with FORMS[form](), torch.no_grad():
        out = function(*(on(device, arg) for arg in args))
    assert not COMPILER.failed and not fast._failed
    assert out.device.type == device
    return out


def on(device: str, given: Tensor | Scale | float) -> Tensor | Scale | float:
    if isinstance(given, Scale):
        return Scale(*(part.to(device) for part in given))
    return given.to(device) if isinstance(given, Tensor) else given


def apart(actual: Tensor, expected: Tensor) -> float:
    """Share of fp8 numbers that are not the same; a sum in another order moves few over a border."""
    return float((actual.cpu().view(torch.uint8) != expected.view(torch.uint8)).float().mean())


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
    out = run(fused.rotate, "plain", device, x, angles.sin(), angles.cos())
    assert error(out, turned(x, angles)) < TOLERANCE[torch.float32]


@every_device
@every_form
@every_dtype
def test_layer_norm_1p(form: str, device: str, dtype: torch.dtype) -> None:
    x, weight, bias = (t.to(dtype) for t in (random(3, 5, 48, scale=4.0) + 2, random(48, seed=2), random(48, seed=3)))
    out = run(fused.layer_norm_1p, form, device, x, weight, bias, EPS)
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
def test_add_gated_in_place(form: str, device: str, dtype: torch.dtype) -> None:
    """To the bit what `add_gated` of the same form gives, where `x` was."""
    x, gate = random(1, 3, 8, 32).to(dtype).to(device), random(1, 3, 32, seed=2).tanh().to(dtype)
    update, weight, bias = random(1, 3, 8, 32, seed=3), random(32, seed=4), random(32, seed=5)
    expected = run(fused.add_gated, form if form == "plain" else "fast", device, x, update, gate, weight, bias, EPS)
    form = "plain" if form == "plain" else "fast"
    out = run(fused.add_gated_in_place, form, device, x, update, gate, weight, bias, EPS)
    assert out is x and torch.equal(x, expected)


@every_device
@every_dtype
@pytest.mark.parametrize("form", ["plain", "fast"])
@pytest.mark.parametrize("width", [64, 48])
def test_standardise(width: int, form: str, device: str, dtype: torch.dtype) -> None:
    x = (random(2, 5, 3, width, scale=4.0) + 2).to(dtype)
    out, wide = run(fused.standardise, form, device, x), x.double()
    centred = wide - wide.sum(-1, keepdim=True) / width
    expected = centred / ((centred.square().sum(-1, keepdim=True) / width).sqrt() + 1e-5)
    assert out.dtype == dtype and error(out, expected) < TOLERANCE[dtype]


@every_device
@every_dtype
def test_interleave(device: str, dtype: torch.dtype) -> None:
    own, text = random(2, 3, 32).to(dtype), random(2, 3, 32, seed=2).to(dtype)
    out = run(fused.interleave, "plain", device, own, text, 8)
    for channel in range(64):
        source = own if channel // 4 % 2 == 0 else text
        assert torch.equal(out[..., channel].cpu(), source[..., channel // 8 * 4 + channel % 4])


@every_device
@every_form
@every_dtype
@pytest.mark.parametrize("scales", [1, 2, 4])
def test_normalise_and_quantise(scales: int, form: str, device: str, dtype: torch.dtype) -> None:
    x, weight, bias = (t.to(dtype) for t in (random(1, 9, 48, scale=4.0) + 2, random(48, seed=2), random(48, seed=3)))
    steps = tuple(0.01 + random(48, seed=5 + i).abs() for i in range(scales))

    def first(*args: Tensor | float) -> Tensor:
        moved = tuple(Scale.of(step.to(device)) for step in steps)
        return torch.stack([out.view(torch.uint8) for out in fused.normalise_and_quantise(*args[:3], moved, EPS)])

    out = run(first, form, device, x, weight, bias)
    exact = normed(x, weight.double() - 1, bias).to(dtype)
    for bits, step in zip(out, steps, strict=True):
        assert apart(bits, fused.quantise(exact, Scale.of(step))) < (5e-3 if dtype == torch.float32 else 3e-2)


@every_device
@every_dtype
@pytest.mark.parametrize("form", ["plain", "fast"])
def test_gelu_in_place(form: str, device: str, dtype: torch.dtype) -> None:
    x = random(1, 6, 64, scale=3.0).to(dtype)
    exact, given = x.double() * (1 + torch.erf(x.double() / 2**0.5)) / 2, x.clone().to(device)
    assert run(fused.gelu_in_place, form, device, given) is given and error(given, exact) < TOLERANCE[dtype]


@every_device
@every_form
@every_dtype
def test_gelu_and_quantise(form: str, device: str, dtype: torch.dtype) -> None:
    x, step = random(1, 6, 64, scale=3.0).to(dtype), 0.01 + random(64, seed=2).abs()
    out = run(fused.gelu_and_quantise, form, device, x, Scale.of(step))
    exact = (x.double() * (1 + torch.erf(x.double() / 2**0.5)) / 2).to(dtype)
    assert out.dtype == torch.float8_e4m3fn and apart(out, fused.quantise(exact, Scale.of(step))) < 2e-2


@every_device
@every_form
@every_dtype
def test_gated_silu_and_quantise(form: str, device: str, dtype: torch.dtype) -> None:
    x, step = random(1, 6, 128, scale=3.0).to(dtype), 0.01 + random(64, seed=2).abs()
    out = run(fused.gated_silu_and_quantise, form, device, x, Scale.of(step))
    gate, value = x.double()[..., :64], x.double()[..., 64:]
    exact = ((gate / (1 + (-gate).exp())).to(dtype).double() * value).to(dtype)
    assert out.dtype == torch.float8_e4m3fn and apart(out, fused.quantise(exact, Scale.of(step))) < 5e-2


@every_device
@every_form
@every_dtype
def test_interleave_and_quantise(form: str, device: str, dtype: torch.dtype) -> None:
    own, text = random(1, 5, 48).to(dtype), random(1, 5, 48, seed=2).to(dtype)
    step = 0.01 + random(96, seed=3).abs()
    out = run(fused.interleave_and_quantise, form, device, own, text, Scale.of(step), 8)
    assert apart(out, fused.quantise(fused.interleave(own, text, 8), Scale.of(step))) == 0


@every_device
@every_form
@every_dtype
def test_quantise(form: str, device: str, dtype: torch.dtype) -> None:
    """To the last bit, also halfway between two numbers, beyond the largest and below the smallest."""
    x = (random(1, 64, 16) * torch.logspace(-4, 3, 16)).to(dtype)
    x[0, 0] = torch.tensor([FP8_MAX, -FP8_MAX, 1e6, -1e6, 0.0, 17.0, 18.0, 19.0] * 2)
    scale = torch.tensor([0.05, 1.0, 3.0, 0.5] * 4)
    scale[:8] = 1.0
    out = run(fused.quantise, form, device, x, Scale.of(scale))
    rounded = (x.float() / scale).clamp(-FP8_MAX, FP8_MAX).to(torch.bfloat16)
    assert out.dtype == torch.float8_e4m3fn and out.shape == x.shape
    assert torch.equal(out.cpu().view(torch.uint8), nearest_e4m3(rounded.float()))


@every_device
@every_dtype
def test_multiply_fp32(device: str, dtype: torch.dtype) -> None:
    """Far closer than one rounding to bfloat16 would leave it (2e-3)."""
    x, weight = random(2, 24, 512).to(dtype), random(48, 512, seed=2).to(dtype)
    out = run(products.multiply_fp32, "plain", device, x, weight)
    assert out.dtype == torch.float32 and out.shape == (2, 24, 48)
    assert error(out, x.double() @ weight.double().T) < (2e-6 if device == "cpu" else 2e-5)


@every_device
@pytest.mark.parametrize("outputs", [48, 40], ids=["whole tiles", "odd sides"])
def test_multiply_fp8(device: str, outputs: int) -> None:
    """One rounding of the result to bfloat16, and the sums of GPU units, which keep fewer bits than float32."""
    x, weight = (t.to(torch.float8_e4m3fn) for t in (random(32, 256), random(outputs, 256, seed=2)))
    scale = torch.tensor(0.003)
    out = run(products.multiply_fp8, "plain", device, x, weight, scale)
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


@every_device
@every_form
@every_dtype
def test_quantise_rows(form: str, device: str, dtype: torch.dtype) -> None:
    x = (random(2, 3, 48) * random(2, 3, 1, seed=2, scale=30.0)).to(dtype)
    x[0, 1] = 0
    with FORMS[form](), torch.no_grad():
        out, scale = (t.cpu() for t in fused.quantise_rows(x.to(device)))
    greatest = x.double().abs().amax(-1, keepdim=True)
    expected = torch.where(greatest > 0, greatest / 448, 1)
    assert error(scale, expected) < 1e-6 and scale.shape == (2, 3, 1)
    assert apart(out, nearest_e4m3(x.double() / expected)) < 0.01


@every_device
@pytest.mark.parametrize("outputs", [32, 24])
def test_multiply_fp8_rows(device: str, outputs: int) -> None:
    """24 is no multiple of 16, which fp8 units want."""
    x, weight = (random(*shape, seed=outputs).to(torch.float8_e4m3fn) for shape in ((7, 48), (outputs, 48)))
    by_row, by_column = random(7, 1, seed=3).abs(), random(outputs, 1, seed=4).abs()
    out = run(products.multiply_fp8_rows, "plain", device, x, by_row, weight, by_column)
    expected = (x.double() * by_row.double()) @ (weight.double() * by_column.double()).T
    assert out.dtype == torch.bfloat16 and error(out, expected) < TOLERANCE[torch.bfloat16]


def test_a_fast_form_is_taken_on_a_gpu_alone() -> None:
    """What decides is the device; without one the plain form must come of it, whatever is installed."""
    x = random(1, 5, 32).bfloat16()
    assert not fast.has_fast_forms(x.device) and not fast._fits((x,))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fast forms run on a GPU")
def test_a_fast_form_that_fails_leaves_the_plain_one_and_is_not_tried_again() -> None:
    calls = []

    @with_fast_form
    def unknown(x: Tensor) -> Tensor:
        calls.append(1)
        return x + 1

    x = random(4).bfloat16().cuda()
    try:
        with torch.no_grad():
            assert torch.equal(unknown(x), x + 1) and torch.equal(unknown(x), x + 1)
        assert fast._failed == {"unknown"} and len(calls) == 2
    finally:
        fast._failed.discard("unknown")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fast forms run on a GPU")
@pytest.mark.parametrize(("heads", "size", "width"), [(24, 128, 3072), (8, 128, 6144), (48, 128, 6144)])
def test_fast_forms_at_official_widths(heads: int, size: int, width: int) -> None:
    x, angles = random(1, 77, heads, size).bfloat16(), random(77, 3 * size // 8, seed=2, scale=3.0)
    gain, shift = random(size, seed=3), random(size, seed=4)
    out = run(fused.normalise_and_rotate, "fast", "cuda", x, angles.sin(), angles.cos(), gain, shift, EPS)
    assert error(out, turned(normed(x, gain, shift), angles)) < TOLERANCE[torch.bfloat16]
    x, gate, update = random(1, 2, 9, width).bfloat16(), random(1, 2, width, seed=2).bfloat16(), random(1, 2, 9, width)
    gain, shift = random(width, seed=3), random(width, seed=4)
    out = run(fused.add_gated, "fast", "cuda", x, update, gate, gain, shift, EPS)
    exact = torch.stack([normed(update[:, i] * gate.double()[:, i, None], gain, shift) for i in range(2)], dim=1)
    assert error(out, x.double() + exact) < TOLERANCE[torch.bfloat16]
