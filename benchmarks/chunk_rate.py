"""Bars: 4.5B at 720x720, seconds per chunk with the VAE's decode: bf16 5.0, fp8 4.3; fp8 at 352x640 1.15.

    python -m benchmarks.chunk_rate [--format fp8] [--pixels 720x720] [--chunks 10] [--attention auto]

Distilled, 8 steps, random weights, through the engine; every chunk is decoded to frames in main memory before the next
one goes on. Medians of the chunks in steady state: not the first two, in which kernels are built and history is short.
`sampling` and `vae`: what either took of it.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from benchmarks.official import official_config, random_dit, random_vae
from benchmarks.rates import MATMUL, card
from benchmarks.results import keep
from magi_core.attention.choose import get_attention
from magi_core.attention.flash import installed_flash
from magi_core.cache.engine_cache import GIB, EngineCache
from magi_core.engine import Engine
from magi_core.state.decode import TakeDecoder
from magi_core.text.conditioning import PromptEmbedding
from magi_core.vae import VAE

BARS = {("bf16", "720x720"): 5.0, ("fp8", "720x720"): 4.3, ("fp8", "352x640"): 1.15}
FIRST = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", default="fp8", choices=["bf16", "fp8"])
    parser.add_argument("--pixels", default="720x720")
    parser.add_argument("--chunks", type=int, default=10)
    parser.add_argument("--attention", default="auto")
    options = parser.parse_args()
    attention = get_attention(options.attention, "cuda")
    rates = card(attention)
    dit = random_dit(official_config("4.5B", fp8=options.format == "fp8"))
    decoder = TakeDecoder(VAE(random_vae(torch.bfloat16)))
    prompt = PromptEmbedding("", torch.randn(50, dit.config.caption_channels))
    cache = EngineCache("cuda", device_bytes=8 * GIB)
    engine = Engine(dit, attention=attention, fingerprint="random", cache=cache, special_tokens=None)
    engine = engine.with_settings(steps=8, special_tokens=(), duration_tokens=False)
    width, height = map(int, options.pixels.split("x"))
    begun, done = engine.begin(width=width, height=height, seed=1), 0
    sampling, decoding, began = [], [], time.perf_counter()
    torch.cuda.reset_peak_memory_stats()
    for state in engine.stream(begun, prompt, options.chunks, drain=False):
        torch.cuda.synchronize()
        finished = time.perf_counter()
        if state.finished > done:
            list(decoder.decode(state, start=done, stop=state.finished))
            done = state.finished
            sampling.append(finished - began)
            decoding.append(time.perf_counter() - finished)
        began = time.perf_counter()
    each = [round(sum(pair), 3) for pair in zip(sampling, decoding, strict=True)]
    whole = statistics.median(each[FIRST:])
    name = installed_flash() if options.attention != "sdpa" else None
    row = {
        "sampling": round(statistics.median(sampling[FIRST:]), 3),
        "vae": round(statistics.median(decoding[FIRST:]), 3),
        "s per chunk": round(whole, 3),
        "scaled": round(whole * rates["matmul"] * 1e12 / MATMUL, 3),
        "bar": BARS.get((options.format, options.pixels)),
        "peak GB": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "each": each,
    }
    keep("chunk_rate", {"format": options.format, "pixels": options.pixels, "attention": name or "sdpa"}, rates, [row])


if __name__ == "__main__":
    main()
