"""Bar: in one run of 1,000 chunks the last 50 take as long as chunks 8 to 58 (median, 1.02), and the same work.

    python -m benchmarks.growth [--chunks 1000] [--size 32]                                  a tiny model, one thread
    python -m benchmarks.growth --model 4.5B --layers 12 --pixels 480x480 [--format fp8]     on a GPU

`operators`, `bytes`: what two chunks, the 59th and the last in steady state, call of PyTorch's operators and what those
make; both must be equal. `peak`: bytes at most on a GPU during chunks 8 to 58 and the last 50. On a CPU times are the
processor's, because other programs do not count in those. On a GPU, where this takes minutes, hundreds are told as they
are made, and the figures are kept. After `--seconds` the next chunk is the last; `chunks` says how many were made.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.models import arguments, engine_for, report
from benchmarks.official import official_config, random_dit
from benchmarks.rates import card
from benchmarks.results import keep
from magi_core.attention.choose import get_attention
from magi_core.engine import Engine
from magi_core.state import SamplerState
from magi_core.text.conditioning import PromptEmbedding

EARLY, LATE = slice(8, 58), slice(-50, None)


class Counting(TorchDispatchMode):
    """Calls of operators, and the bytes of what they give back."""

    def __init__(self) -> None:
        super().__init__()
        self.operators = self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        self.operators += 1
        self.bytes += sum(leaf.nbytes for leaf in tree_leaves(out) if isinstance(leaf, Tensor))
        return out


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--chunks", type=int, default=1000)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--pixels", default="480x480")
    parser.add_argument("--format", default="fp8", choices=["bf16", "fp8"])
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of chunks in steady state, at most")
    options = parser.parse_args()
    on_gpu = options.model == "4.5B"
    rates = card(get_attention("auto", "cuda")) if on_gpu else {}
    engine = on_a_gpu(options) if on_gpu else engine_for(options)
    width, height = map(int, options.pixels.split("x")) if on_gpu else (options.size, options.size)
    prompt = PromptEmbedding("", torch.randn(50, engine.dit.config.caption_channels))
    states = engine.stream(engine.begin(width=width, height=height, seed=1), prompt, options.chunks, drain=False)
    took, peaks, counted = watched(states, options.chunks - engine.settings.window, on_gpu, options.seconds)
    options.chunks = len(took) + len(counted) + engine.settings.window
    early, late = statistics.median(took[EARLY]), statistics.median(took[LATE])
    figures = {
        "same_work": counted[0] == counted[1],
        "operators": [count[0] for count in counted],
        "bytes": [count[1] for count in counted],
        "seconds": [round(early, 4), round(late, 4)],
        "by_hundreds": [round(statistics.median(took[i : i + 100]), 4) for i in range(0, len(took), 100)],
        "peak": [max(peaks[EARLY]), max(peaks[LATE])] if on_gpu else [],
    }
    report("growth", options, ratio=late / early, bar=1.02, chunks=options.chunks, **figures)
    if on_gpu:
        names = ("format", "pixels", "layers", "chunks")
        row = {"ratio": round(late / early, 4), "bar": 1.02} | figures
        keep("growth", {name: getattr(options, name) for name in names}, rates, [row])


def on_a_gpu(options: argparse.Namespace) -> Engine:
    dit = random_dit(official_config("4.5B", fp8=options.format == "fp8", layers=options.layers))
    engine = Engine(dit, attention=get_attention("auto", "cuda"), fingerprint="random")
    return engine.with_settings(steps=options.steps, special_tokens=(), duration_tokens=False)


def watched(
    states: Iterator[SamplerState], chunks: int, on_gpu: bool, seconds: float
) -> tuple[list[float], list[int], list[tuple[int, int]]]:
    """Seconds and peak of every chunk in steady state, and the work of two that are counted in place of timed ones. The
    last is the one after `seconds`, the 110th at the earliest."""
    took: list[float] = []
    peaks: list[int] = []
    counted: list[tuple[int, int]] = []
    clock = time.perf_counter if on_gpu else time.process_time
    started = time.perf_counter()
    for index in range(chunks):
        over = index > EARLY.stop - LATE.start and time.perf_counter() - started > seconds
        last = over or index == chunks - 1
        if last or index == EARLY.stop:
            with Counting() as counting:
                next(states)
            counted.append((counting.operators, counting.bytes))
            if last:
                break
            continue
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        began = clock()
        next(states)
        if on_gpu:
            torch.cuda.synchronize()
            peaks.append(torch.cuda.max_memory_allocated())
        took.append(clock() - began)
        if on_gpu and len(took) % 100 == 0:
            print(len(took), round(statistics.median(took[-100:]), 4), flush=True)
    return took, peaks, counted


if __name__ == "__main__":
    main()
