"""Bar: what a host is told that a forward takes beside the weights is within 10 % of what it takes.

    python -m benchmarks.memory

Five shapes, random weights, distilled, no files: the six-chunk forward of the steady state, which makes a page, on the
allocator's account. `announced`: activations and the page by `magi_core.dit.memory`; `taken`: the peak less what was
there before. `peak GB` has the weights (and the text of six prompts) in it; the driver's own memory, about 0.5 GB, is
on no account.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import torch

from benchmarks.official import SteadyForward, official_config, random_dit
from benchmarks.rates import card
from benchmarks.results import keep
from magi_core.attention.choose import get_attention
from magi_core.config import DiTConfig, SamplingSettings
from magi_core.dit.memory import sampling_memory

SHAPES = (
    ("4.5B", "fp8", 352, 640, None),
    ("4.5B", "fp8", 720, 720, None),
    ("4.5B", "bf16", 480, 832, None),
    ("4.5B", "bf16", 720, 1280, 12),
    ("24B", "fp8", 720, 1280, 12),
)


def main() -> None:
    rates, rows = card(get_attention("auto", "cuda")), []
    for size, name, width, height, layers in SHAPES:
        config = official_config(size, fp8=name == "fp8", layers=layers)
        figures = measured(config, width, height)
        rows.append({"size": size, "format": name, "pixels": f"{width}x{height}", "layers": layers, **figures})
        gc.collect()
        torch.cuda.empty_cache()
    keep("memory", {}, rates, rows)


def measured(config: DiTConfig, width: int, height: int) -> dict[str, Any]:
    dit, attention = random_dit(config), get_attention("auto", "cuda")
    weights, forward = torch.cuda.memory_allocated(), SteadyForward(6, width, height).of(dit, attention)
    forward()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    forward()
    taken = torch.cuda.max_memory_allocated() - before
    settings = replace(SamplingSettings.for_model(config), window=4)
    parts = sampling_memory(config, settings, width=width, height=height, chunks=99, itemsize=2, fused=True, pages=1)
    announced = parts.activations + parts.pages
    return {
        "weights GB": round(weights / 1e9, 2),
        "taken GB": round(taken / 1e9, 3),
        "announced GB": round(announced / 1e9, 3),
        "ratio": round(announced / taken, 3),
        "peak GB": round(torch.cuda.max_memory_allocated() / 1e9, 2),
    }


if __name__ == "__main__":
    main()
