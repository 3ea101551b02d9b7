"""Bar: what a host is told that a forward takes beside the weights is within 10 % of what it takes.

    python -m benchmarks.memory [--attention sage]

Five shapes, random weights, distilled, no files: the widest forward of the steady state, five chunks that read a page,
on the allocator's account, with the attention asked for; `page`: on the device, or streamed from main memory.
`announced`: activations and pages by `magi_core.dit.memory`; `taken`: the peak less weights, texts and latents, work
space of the libraries included. `peak GB` has those in it; the driver's own memory, about 0.5 GB, is on no account.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.official import SteadyForward, official_config, random_dit
from benchmarks.rates import card
from benchmarks.results import keep
from magi_core.attention.choose import get_attention
from magi_core.attention.spans import Attention
from magi_core.cache.page_pool import PagePool
from magi_core.config import DiTConfig, SamplingSettings
from magi_core.dit import OnDevice
from magi_core.dit.memory import chunk_tokens, page_bytes, sampling_memory

SHAPES = (
    ("4.5B", "fp8", 352, 640, None),
    ("4.5B", "fp8", 720, 720, None),
    ("4.5B", "bf16", 480, 832, None),
    ("4.5B", "bf16", 720, 1280, 12),
    ("24B", "fp8", 720, 1280, 12),
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attention", default="auto", choices=("auto", "sdpa", "flash_attn", "sage"))
    name = parser.parse_args(arguments).attention
    attention = get_attention(name, "cuda")
    rates, rows = card(get_attention("auto", "cuda")), []
    for size, kind, width, height, layers in SHAPES:
        config = official_config(size, fp8=kind == "fp8", layers=layers)
        what = {"size": size, "format": kind, "pixels": f"{width}x{height}", "layers": layers}
        rows += [what | figures for figures in measured(config, width, height, attention)]
        gc.collect()
        torch.cuda.empty_cache()
    keep("memory", {"attention": None if name == "auto" else name}, rates, rows)


def measured(config: DiTConfig, width: int, height: int, attention: Attention) -> Iterator[dict[str, Any]]:
    dit = random_dit(config)
    weights, settings = torch.cuda.memory_allocated(), SamplingSettings.for_model(config)
    how = {"width": width, "height": height, "chunks": 99, "itemsize": 2, "fused": True, "pages": 1}
    how["attention"] = attention
    for name in ("device", "streamed"):
        streamed = PagePool(torch.device("cuda"), 0).streamed(config.num_layers) if name == "streamed" else None
        forward = SteadyForward(5, width, height).of(dit, attention, streamed or OnDevice())
        page = page_bytes(config, chunk_tokens(config, width, height), 2) if streamed is None else streamed.nbytes
        torch._C._cuda_clearCublasWorkspaces()  # of earlier products: it belongs to what a forward takes
        before = torch.cuda.memory_allocated() - page
        forward()
        torch.cuda.reset_peak_memory_stats()
        forward()
        taken = torch.cuda.max_memory_allocated() - before
        parts = sampling_memory(config, settings, streamed=streamed is not None, **how)
        announced = parts.activations + parts.pages
        yield {
            "page": name,
            "weights GB": round(weights / 1e9, 2),
            "taken GB": round(taken / 1e9, 3),
            "announced GB": round(announced / 1e9, 3),
            "ratio": round(announced / taken, 3),
            "peak GB": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        }
        del forward, streamed


if __name__ == "__main__":
    main()
