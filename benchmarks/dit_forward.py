"""Seconds and bytes of one forward of the transformer in steady state, at the official shapes with random weights.

    python -m benchmarks.dit_forward [--size 4.5B] [--pixels 720x720] [--formats bf16 fp8] [--chunks 5 6] [--layers N]

Needs a GPU, no files. Beside every figure: the figure scaled to the card that the bars assume (790 TFLOP/s of bfloat16
products); the bound, which is the operations at the rates measured in this run (fp8 products twice as fast); the peak
of the allocator, and that of the forward beside the weights; and the relative L2 distance of the velocity from that of
the plain forms. `--forms plain compiled` times those as well. fp8-rows: a bf16 model brought to fp8 on load.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from benchmarks.official import SIZES, SteadyForward, official_config, random_dit
from benchmarks.profiled import profiled
from benchmarks.rates import MATMUL, card, median_seconds
from benchmarks.results import keep
from magi_core.attention.choose import get_attention
from magi_core.attention.flash import installed_flash
from magi_core.kernels.compilation import Compiler, compiling
from magi_core.kernels.fast import plain_forms

COMPILER = Compiler()


@contextmanager
def compiled() -> Iterator[None]:
    with plain_forms(), compiling(COMPILER):
        yield


FORMS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "fast": nullcontext,
    "plain": plain_forms,
    "compiled": compiled,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="4.5B")
    parser.add_argument("--layers", type=int, help="fewer layers than the model has")
    parser.add_argument("--pixels", default="720x720")
    parser.add_argument("--formats", nargs="+", default=["bf16", "fp8"], choices=["bf16", "fp8", "fp8-rows"])
    parser.add_argument("--chunks", nargs="+", type=int, default=[5, 6], choices=[5, 6])
    parser.add_argument("--forms", nargs="+", default=["fast"], choices=FORMS)
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="print the kernels of each")
    options = parser.parse_args()
    attention = get_attention(options.attention, "cuda")
    rates, rows = card(attention), []
    width, height = map(int, options.pixels.split("x"))
    for name in options.formats:
        dit = random_dit(
            official_config(options.size, fp8=name == "fp8", layers=options.layers), fp8_rows=name == "fp8-rows"
        )
        for chunks in options.chunks:
            steady = SteadyForward(chunks, width, height)
            for form in options.forms:
                rows.append(
                    {"format": name, "chunks": chunks, "form": form, **measured(dit, steady, form, options, rates)}
                )
        del dit
        gc.collect()
        torch.cuda.empty_cache()
    name = installed_flash() if options.attention == "auto" else options.attention
    what = {"size": options.size, "layers": options.layers, "pixels": options.pixels, "attention": name}
    keep("dit_forward", what, rates, rows)


def measured(dit: Any, steady: SteadyForward, form: str, options: argparse.Namespace, rates: dict) -> dict[str, Any]:
    forward, before = steady.of(dit, get_attention(options.attention, "cuda")), torch.cuda.memory_allocated()
    with plain_forms():
        expected = forward()[0]
    with FORMS[form]():
        actual = forward()[0]
        torch.cuda.reset_peak_memory_stats()
        forward()
        peak = torch.cuda.max_memory_allocated()
        seconds = median_seconds(forward, options.repeats)
        if options.profile:
            profiled(f"{form}, {steady.chunks} chunks", forward)
    linear, attended = steady.flops(dit.config)
    speed = 2 if dit.config.fp8 or dit.fp8_rows else 1
    bound = linear / speed / (rates["matmul"] * 1e12) + attended / (rates["attention"] * 1e12)
    return {
        "seconds": round(seconds, 3),
        "scaled": round(seconds * rates["matmul"] * 1e12 / MATMUL, 3),
        "bound": round(bound, 3),
        "peak GB": round(peak / 1e9, 2),
        "forward GB": round((peak - before) / 1e9, 2),
        "error": float(f"{((actual - expected).norm() / expected.norm()).item():.2e}"),
    }


if __name__ == "__main__":
    main()
