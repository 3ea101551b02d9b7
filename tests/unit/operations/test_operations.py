"""A host's operations are a model's only way to its weights: what comes through them is what it computes with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magi_core.attention.sdpa import sdpa
from magi_core.config import DiTConfig
from magi_core.dit import DiT, TextAttention, WindowAttention
from magi_core.operations import PLAIN, Operations, Placed
from magi_core.operations.fp8 import Fp8Linear, Fp8RowLinear
from magi_core.operations.linear_fp32 import LinearFp32
from magi_core.operations.norm import LayerNorm, LayerNorm1p
from magi_core.vae import ViTVAE
from tools.small_models import tiny_dit, tiny_vae


def turned(tensor: Tensor) -> Tensor:
    """Minus `tensor`, exactly, in its own dtype."""
    return (-tensor.float()).to(tensor.dtype)


class Turning:
    """Own weights that wait with the wrong sign."""

    @contextmanager
    def weights(self, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
        yield tuple(turned(w) for w in (self.weight, self.bias) if w is not None)

    def placed(self, parameter: Tensor, device: torch.device) -> Tensor:
        return turned(parameter)


class TurnedLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, turned(self.weight), None if self.bias is None else turned(self.bias))


class TurnedConv3d(nn.Conv3d):
    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, turned(self.weight), None if self.bias is None else turned(self.bias))


class TurnedLinearFp32(Turning, LinearFp32): ...


class TurnedLayerNorm(Turning, LayerNorm): ...


class TurnedLayerNorm1p(Turning, LayerNorm1p): ...


class TurnedFp8Linear(Turning, Fp8Linear): ...


class TurnedFp8RowLinear(Turning, Fp8RowLinear): ...


class Host:
    """A host where every weight waits with the wrong sign, and is turned on its way to where it is used."""

    Linear, LayerNorm, Conv3d = TurnedLinear, TurnedLayerNorm, TurnedConv3d
    LinearFp32, LayerNorm1p = TurnedLinearFp32, TurnedLayerNorm1p
    Fp8Linear, Fp8RowLinear = TurnedFp8Linear, TurnedFp8RowLinear

    def placed(self, parameter: Tensor, device: torch.device) -> Tensor:
        assert device == torch.device("cpu")
        return turned(parameter)

    def held(self, modules: Iterable[nn.Module], device: torch.device) -> AbstractContextManager[None]:
        return nullcontext()

    def in_turn(self, groups: Sequence[Sequence[nn.Module]], device: torch.device) -> Iterator[None]:
        assert device == torch.device("cpu")
        return iter([None] * len(groups))


HOST: Operations = Host()


def with_random_weights(model: Placed) -> Placed:
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if parameter.dtype == torch.float8_e4m3fn:
            parameter.data = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
        elif "_scale" in name:
            parameter.data.uniform_(0.02, 0.05, generator=generator)
        elif "bands" not in name:
            parameter.data.normal_(0, 0.2, generator=generator)
    return model.requires_grad_(False)


def in_the_hands_of_the_host(plain: Placed, make: Callable[[Operations], Placed]) -> Placed:
    model = make(HOST)
    model.load_state_dict({name: turned(tensor) for name, tensor in plain.state_dict().items()})
    return model.requires_grad_(False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["bf16 file", "fp8 file", "fp8 on load"])
def test_a_transformer_reads_no_weight_but_through_its_operations(kind: str, dtype: torch.dtype) -> None:
    fp8, rows = kind == "fp8 file", kind == "fp8 on load"
    config = DiTConfig(3, 64, 96, 8, 2, 8, caption_channels=16, caption_max_length=20, gated=True, fp8=fp8)

    def make(operations: Operations) -> DiT:
        return DiT(config, operations=operations, dtype=dtype, fp8_rows=rows)

    def forward(dit: DiT) -> Tensor:
        generator = torch.Generator().manual_seed(4)
        text = dit.text_context(torch.randn(7, 16, generator=generator))
        latents = torch.randn(1, 16, 12, 4, 4, generator=generator)
        return dit(
            latents,
            torch.tensor([[0.3, 0.1]]),
            TextAttention(sdpa, [text, text]),
            frames=torch.arange(12),
            attend=WindowAttention(sdpa, [(0, 1), (0, 2)]),
            dropped=True,
            step_factor=2.0,
        )

    plain = with_random_weights(make(PLAIN))
    expected = forward(plain)
    assert expected.isfinite().all() and expected.std() > 0
    assert torch.equal(forward(in_the_hands_of_the_host(plain, make)), expected)


def test_a_vae_reads_no_weight_but_through_its_operations() -> None:
    config = tiny_vae().model.config

    def make(operations: Operations) -> ViTVAE:
        return ViTVAE(config, operations=operations)

    plain = with_random_weights(make(PLAIN))
    hosted = in_the_hands_of_the_host(plain, make)
    video = torch.rand(1, 3, 8, 16, 24, generator=torch.Generator().manual_seed(5))
    latents = plain.encode(video)
    assert torch.equal(hosted.encode(video), latents)
    assert torch.equal(hosted.decode(latents), plain.decode(latents))


@pytest.mark.parametrize("make", [lambda: tiny_dit(), lambda: tiny_vae().model], ids=["DiT", "VAE"])
def test_inputs_go_where_weights_are_unless_a_host_says_otherwise(make: Callable[[], Placed]) -> None:
    model, elsewhere = make(), torch.device("meta")
    assert model.device == torch.device("cpu")
    try:
        model.device = elsewhere
        assert model.device == elsewhere
        assert next(model.parameters()).device.type == "cpu"
    finally:
        model.device = None


def test_the_attention_projection_is_float32_whatever_the_model_is() -> None:
    layer = PLAIN.LinearFp32(8, 6, dtype=torch.bfloat16)
    x = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(6)).bfloat16()
    out = layer(x)
    assert out.dtype == torch.float32 and [*layer.state_dict()] == ["weight"]
    torch.testing.assert_close(out.double(), x.double() @ layer.weight.double().t())


@pytest.mark.parametrize("per_channel", [False, True])
def test_what_an_fp8_linear_makes_of_its_scales_is_made_once_and_of_what_they_are_now(per_channel: bool) -> None:
    layer = Fp8Linear(32, 16, per_channel=per_channel)
    with_random_weights(layer)
    name = "smooth_scale" if per_channel else "input_scale"
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))

    def made() -> Tensor:
        """As of a layer that has computed nothing yet."""
        fresh = Fp8Linear(32, 16, per_channel=per_channel)
        fresh.load_state_dict(layer.state_dict())
        return fresh(x)

    before = layer(x)
    assert layer.scale(x.device).by is layer.scale(x.device).by and torch.equal(before, made())
    with torch.no_grad():
        getattr(layer, name).mul_(3)
    written = layer(x)
    assert torch.equal(written, made()) and not torch.equal(written, before)
    setattr(layer, name, nn.Parameter(5 * getattr(layer, name), requires_grad=False))
    assert torch.equal(layer(x), made()) and not torch.equal(layer(x), written)
    with torch.inference_mode():
        layer.weight_scale = nn.Parameter(3 * layer.weight_scale, requires_grad=False)
        assert torch.equal(layer(x), made())
    assert not layer.scale(x.device).inverse.is_inference(), "a gradient may go through it later"
    layer.forget_scales()
    assert torch.equal(layer(x), made())
