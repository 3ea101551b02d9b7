"""Bar: a step of the base model with four chunks in flight and its guidance passes, 4.5B at 720x720, scaled: <= 5.3 s.

    python -m benchmarks.base_step [--format bf16] [--pixels 720x720] [--chunks 7]

Random weights, no files, 8 steps, through the engine. Seconds between steps in which four chunks are in flight: `first`
of a stage, with the page that it makes and the newest page under the text's condition, and `second`, which has none.
`passes`: model calls of such a step, in chunks. `scaled`: to the card that the bar assumes, see `dit_forward`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from itertools import pairwise
from typing import Any

import torch

from benchmarks.official import official_config, random_dit
from benchmarks.rates import MATMUL, card
from benchmarks.results import keep
from magi_core.attention.choose import get_attention
from magi_core.cache.engine_cache import GIB, EngineCache
from magi_core.engine import Engine
from magi_core.sampling.events import Stepped
from magi_core.text.conditioning import PromptEmbedding

BAR = 5.3
FULL = 4  # chunks in flight


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", default="bf16", choices=["bf16", "fp8"])
    parser.add_argument("--pixels", default="720x720")
    parser.add_argument("--chunks", type=int, default=7)
    options = parser.parse_args()
    attention = get_attention("auto", "cuda")
    rates = card(attention)
    dit = random_dit(official_config("4.5B", fp8=options.format == "fp8", distill=False))
    cache = EngineCache("cuda", device_bytes=8 * GIB)
    engine = Engine(dit, attention=attention, fingerprint="random", cache=cache)
    engine = engine.with_settings(steps=8, special_tokens=(), duration_tokens=False)
    width, height = map(int, options.pixels.split("x"))
    row = measured(engine, width, height, options.chunks)
    row |= {"scaled": round(row["second"] * rates["matmul"] * 1e12 / MATMUL, 3), "bar": BAR}
    keep("base_step", {"format": options.format, "pixels": options.pixels}, rates, [row])


def measured(engine: Engine, width: int, height: int, chunks: int) -> dict[str, Any]:
    prompt = PromptEmbedding("", torch.randn(50, engine.dit.config.caption_channels))
    calls: list[int] = []
    steps: list[tuple[float, int, list[int]]] = []  # when, chunks in flight, chunks of the calls since the one before

    def step(event: Stepped) -> None:
        if engine.dit.device.type == "cuda":
            torch.cuda.synchronize()
        steps.append((time.perf_counter(), len(event.in_flight), list(calls)))
        calls.clear()

    engine.dit.register_forward_pre_hook(lambda _module, inputs: calls.append(inputs[1].shape[1]))
    for _ in engine.stream(engine.begin(width=width, height=height, seed=1), prompt, chunks, drain=False, on_step=step):
        pass
    full = [(after - before, passes) for (before, _, _), (after, many, passes) in pairwise(steps) if many == FULL]
    first, second = full[2::2], full[3::2]  # the first stage of four reads no page yet
    return {
        "first": round(statistics.median(seconds for seconds, _ in first), 3),
        "second": round(statistics.median(seconds for seconds, _ in second), 3),
        "passes": [first[-1][1], second[-1][1]],
        "each": [round(seconds, 3) for seconds, _ in full],
    }


if __name__ == "__main__":
    main()
