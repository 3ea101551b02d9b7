"""How much faster the transformer is with its arithmetic compiled, in one process, and what compiling costs.

    python -m benchmarks.compilation [--model nano-distill|4.5B] [--device cuda] [--chunks 3] [--repeats 5]

4.5B and 24B have the official shapes with random weights in bfloat16; --layers takes fewer. Ratio: seconds of sampling
a chunk, compiled against plain, medians of runs in turns. The first compiled run is timed apart: it compiles.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from benchmarks.bf16_error import random_model, synchronise
from benchmarks.models import arguments, report
from benchmarks.official import SIZES
from magi_core.attention.choose import get_attention
from magi_core.config import DiTConfig
from magi_core.dit import DiT
from magi_core.engine import Engine
from magi_core.kernels.compilation import Compiler
from magi_core.loading import load
from magi_core.text.conditioning import PromptEmbedding
from magi_core.weights import pick_device


def main() -> None:
    parser = arguments(__doc__, model="nano-distill", steps=4, size=128)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--layers", type=int, help="fewer layers than the official model has")
    parser.add_argument("--chunks", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engine = engine_on(pick_device(options.device), options)
    prompt = PromptEmbedding("", torch.randn(50, engine.dit.config.caption_channels))

    def seconds(engine: Engine) -> tuple[float, torch.Tensor]:
        engine.cache.clear()
        begun = engine.begin(width=options.size, height=options.size, seed=1)
        synchronise()
        start = time.perf_counter()
        latents = engine.extend(begun, prompt, options.chunks).latents
        synchronise()
        return (time.perf_counter() - start) / options.chunks, latents

    fast = engine.copy(compiler=Compiler())
    seconds(engine)
    first, _ = seconds(fast)
    runs = [(seconds(engine), seconds(fast)) for _ in range(options.repeats)]
    plain, compiled = (statistics.median(run[i][0] for run in runs) for i in range(2))
    (_, expected), (_, actual) = runs[0]
    report(
        "compilation",
        options,
        ratio=compiled / plain,
        bar=None,
        device=torch.cuda.get_device_name() if engine.dit.device.type == "cuda" else "cpu",
        seconds_plain=round(plain, 4),
        seconds_compiled=round(compiled, 4),
        seconds_of_compiling=round((first - compiled) * options.chunks, 1),
        relative_l2=float(f"{((actual - expected).norm() / expected.norm()).item():.2e}"),
        compiled=not fast.compiler.failed,
    )


def engine_on(device: torch.device, options: argparse.Namespace) -> Engine:
    if options.model not in SIZES:
        return load(options.model, device=device).with_settings(steps=options.steps)
    config = SIZES[options.model]
    if options.layers:
        config = DiTConfig(**{**vars(config), "num_layers": options.layers})
    exact = random_model(config, device)
    dit = DiT(config, device=device, dtype=torch.bfloat16).requires_grad_(False)
    dit.load_state_dict(exact.state_dict())
    engine = Engine(dit, attention=get_attention("auto", device), fingerprint="random")
    return engine.with_settings(steps=options.steps, special_tokens=(), duration_tokens=False)


if __name__ == "__main__":
    main()
