"""Bar: K/V pages that find no room on the device cost at most 1 % of the time of pages that stay there.

    python -m benchmarks.offload [--format fp8] [--pixels 720x720] [--chunks 10] [--layers N]

4.5B with random weights, distilled, 8 steps, through the engine: pages on the device, then with a device budget of 0,
which sends every finished page to the host. Seconds per chunk are medians of the chunks in steady state (`each` has
all), `ratio` is of those, `from the start` that of all chunks together: the first pages on the host, whose memory has
to be got, cost nothing more either. `back`: seconds from asking for a page that lies on the host until it can be read.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

from benchmarks.official import official_config, random_dit
from benchmarks.rates import card
from benchmarks.results import keep
from magi_core.attention.choose import get_attention
from magi_core.cache.engine_cache import GIB, EngineCache
from magi_core.dit.memory import chunk_tokens, page_bytes
from magi_core.engine import Engine
from magi_core.text.conditioning import PromptEmbedding

HOST_PAGES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", default="fp8", choices=["bf16", "fp8"])
    parser.add_argument("--pixels", default="720x720")
    parser.add_argument("--chunks", type=int, default=10)
    parser.add_argument("--layers", type=int)
    options = parser.parse_args()
    attention = get_attention("auto", "cuda")
    rates = card(attention)
    dit = random_dit(official_config("4.5B", fp8=options.format == "fp8", layers=options.layers))
    width, height = map(int, options.pixels.split("x"))
    page = page_bytes(dit.config, chunk_tokens(dit.config, width, height), 2)
    prompt = PromptEmbedding("", torch.randn(50, dit.config.caption_channels))

    def run(device_bytes: int, chunks: int = options.chunks) -> dict[str, Any]:
        cache = EngineCache("cuda", device_bytes=device_bytes, host_bytes=HOST_PAGES * page)
        engine = Engine(dit, attention=attention, fingerprint="random", cache=cache, special_tokens=None)
        engine = engine.with_settings(steps=8, special_tokens=(), duration_tokens=False)
        began, took = time.perf_counter(), []
        torch.cuda.reset_peak_memory_stats()
        for _ in engine.stream(engine.begin(width=width, height=height, seed=1), prompt, chunks, drain=False):
            torch.cuda.synchronize()
            took.append(time.perf_counter() - began)
            began = time.perf_counter()
        figures: dict[str, Any] = {
            "device budget GB": round(device_bytes / 1e9, 1),
            "s per chunk": round(statistics.median(took[1 + HOST_PAGES : -1] or took), 3),  # the last comes at once
            "each": [round(seconds, 3) for seconds in took],
            "peak GB": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        }
        pool = cache.pages
        key = next(iter(pool._on_host._entries), None)
        if key is not None:
            began = time.perf_counter()
            pool.prefetch([key])
            assert pool.get(key) is not None
            torch.cuda.synchronize()
            figures["back"] = round(time.perf_counter() - began, 4)
        cache.clear()
        return figures

    run(8 * GIB, chunks=1)  # kernels are built
    there, away = run(8 * GIB), run(0)
    ratio = away["s per chunk"] / there["s per chunk"]
    whole = sum(away["each"]) / sum(there["each"])
    rows = [there, away | {"ratio": round(ratio, 4), "from the start": round(whole, 4), "bar": 1.01}]
    keep("offload", {"format": options.format, "pixels": options.pixels, "layers": options.layers}, rates, rows)


if __name__ == "__main__":
    main()
