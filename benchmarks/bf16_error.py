"""How far a bfloat16 run of a full-size transformer is from float32: same weights, same input, every layer.

    python -m benchmarks.bf16_error [--size 4.5B] [--layers N] [--chunks 2] [--pixels 480]

Weights are random, normal(0, 0.02), rounded to bfloat16, so that both runs compute with equal numbers; inputs are
random. Prints one JSON object: relative L2 error of the velocity and of the residual stream after every eighth layer,
and seconds of a forward.
"""

from __future__ import annotations

import argparse
import json
import time

import torch
from torch import Tensor

from benchmarks.official import SIZES
from magi_core.attention.choose import get_attention
from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Attention
from magi_core.config import DiTConfig
from magi_core.dit import DiT, TextAttention, WindowAttention


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="4.5B")
    parser.add_argument("--layers", type=int, help="fewer layers than the model has")
    parser.add_argument("--chunks", type=int, default=2)
    parser.add_argument("--pixels", type=int, default=480)
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = SIZES[args.size]
    if args.layers:
        config = DiTConfig(**{**vars(config), "num_layers": args.layers})

    exact = random_model(config, device)
    inputs = random_inputs(config, args.chunks, args.pixels // 8, device)
    runs = {"fp32": run(exact, inputs, sdpa)}
    half = DiT(config, device=device, dtype=torch.bfloat16).requires_grad_(False)
    half.load_state_dict(exact.state_dict())
    del exact
    runs["bf16"] = run(half, inputs, get_attention("auto", device))
    truth = runs["fp32"]
    report = {
        "model": args.size,
        "layers": config.num_layers,
        "tokens": args.chunks * 6 * (args.pixels // 16) ** 2,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
    }
    for name, (velocity, layers, seconds) in runs.items():
        report[name] = {"seconds": round(seconds, 3)}
        if name != "fp32":
            report[name]["velocity error"] = relative(velocity, truth[0])
            report[name]["residual error by layer"] = {i: relative(x, truth[1][i]) for i, x in layers.items()}
    print(json.dumps(report, indent=1))


def random_model(config: DiTConfig, device: torch.device) -> DiT:
    dit = DiT(config, device=device, dtype=torch.float32).requires_grad_(False)
    generator = torch.Generator(device).manual_seed(0)
    for name, parameter in dit.named_parameters():
        if name == "rope.bands":
            continue
        parameter.normal_(0, 0.02, generator=generator)
        if "layer_norm.weight" in name:
            parameter.add_(1)
        parameter.copy_(parameter.bfloat16())
    return dit


def random_inputs(config: DiTConfig, chunks: int, side: int, device: torch.device) -> dict[str, Tensor]:
    generator = torch.Generator(device).manual_seed(1)
    shape = (1, config.latent_channels, 6 * chunks, side, side)
    return {
        "latents": torch.randn(shape, generator=generator, device=device),
        "timesteps": torch.linspace(0.8, 0.1, chunks, device=device)[None],
        "text": torch.randn(chunks, 50, config.caption_channels, generator=generator, device=device),
    }


@torch.no_grad()
def run(dit: DiT, inputs: dict[str, Tensor], attention: Attention) -> tuple[Tensor, dict[int, Tensor], float]:
    """Velocity, residual stream after every eighth layer (on the CPU), seconds of a second forward."""
    chunks, layers = inputs["timesteps"].shape[1], {}
    texts = [dit.text_context(text) for text in inputs["text"]]

    def forward() -> Tensor:
        return dit(
            inputs["latents"],
            inputs["timesteps"],
            TextAttention(attention, texts),
            frames=torch.arange(6 * chunks, device=dit.device),
            attend=WindowAttention(attention, [(0, i + 1) for i in range(chunks)]),
            dropped=False,
        )

    hooks = [
        block.register_forward_hook(lambda _m, _a, out, i=i: layers.update({i: out.float().cpu()}))
        for i, block in enumerate(dit.videodit_blocks.layers)
        if i % 8 == 0
    ]
    velocity = forward().cpu()
    for hook in hooks:
        hook.remove()
    synchronise()
    start = time.perf_counter()
    forward()
    synchronise()
    return velocity, layers, time.perf_counter() - start


def relative(actual: Tensor, expected: Tensor) -> float:
    return float(f"{((actual - expected).double().norm() / expected.double().norm()).item():.3e}")


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
