"""Bar: the VAE decodes a chunk of 720x720 in 0.18 s and encodes it in 0.22 s, on a card of 790 TFLOP/s.

    python -m benchmarks.vae [--pixels 720x720 480x832] [--repeats 5] [--profile]

Random weights at the official shape (613.8 million, bfloat16), no files. Decoding goes from latents in main memory to
frames in main memory, encoding the other way; seconds by the wall clock. `MFU`: operations of all tiles by the rate of
products measured in this run. `error`: relative L2 distance from tiles coded one by one in plain forms; `exact` and
`plain exact`: of either from float32. `peak GB`: of the allocator, weights included.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.official import random_vae, vae_flops
from benchmarks.profiled import profiled
from benchmarks.rates import MATMUL, card
from benchmarks.results import keep
from magi_core.attention.sdpa import sdpa
from magi_core.kernels.fast import plain_forms
from magi_core.vae import VAE

BARS = {"decode": 0.18, "encode": 0.22}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", nargs="+", default=["720x720", "480x832"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, help="that go through the model together; by default the codec's own")
    parser.add_argument("--profile", action="store_true", help="print the kernels of each")
    options = parser.parse_args()
    rates, rows = card(sdpa), []
    model = random_vae(torch.bfloat16)
    exact = random_vae(torch.float32)
    exact.load_state_dict(model.state_dict())
    vae, single = VAE(model, tokens=options.tokens), VAE(model, tokens=0)
    for pixels in options.pixels:
        width, height = map(int, pixels.split("x"))
        generator = torch.Generator().manual_seed(2)
        latents = torch.randn(1, 16, 6, height // 8, width // 8, generator=generator)
        frames = torch.randint(0, 256, (24, height, width, 3), generator=generator, dtype=torch.uint8)
        works: dict[str, Callable[[VAE], Tensor]] = {
            "decode": lambda codec, latents=latents: torch.cat(list(codec.decode(latents))),
            "encode": lambda codec, frames=frames: codec.encode(frames),
        }
        for name, work in works.items():
            truth = work(VAE(exact))
            with plain_forms():
                expected = work(single)
            actual = work(vae)
            seconds, peak = timed(lambda work=work: work(vae), options.repeats)
            if options.profile:
                profiled(f"{name} {pixels}", lambda work=work: work(vae))
            flops = vae_flops(model.config, vae.tile, width, height)
            rows.append(
                {
                    "what": name,
                    "pixels": pixels,
                    "seconds": round(seconds, 4),
                    "scaled": round(seconds * rates["matmul"] * 1e12 / MATMUL, 4),
                    "bar": BARS[name] if pixels == "720x720" else None,
                    "MFU": round(flops / seconds / (rates["matmul"] * 1e12), 3),
                    "peak GB": round(peak / 1e9, 2),
                    "error": distance(actual, expected),
                    "exact": distance(actual, truth),
                    "plain exact": distance(expected, truth),
                }
            )
    keep("vae", {}, rates, rows)


def timed(work: Callable[[], object], repeats: int) -> tuple[float, int]:
    """Seconds by the wall clock, median, and the peak of the allocator."""
    times = []
    work()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(repeats):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times), torch.cuda.max_memory_allocated()


def distance(actual: Tensor, expected: Tensor) -> float:
    actual, expected = actual.float(), expected.float()
    return float(f"{((actual - expected).norm() / expected.norm()).item():.2e}")


if __name__ == "__main__":
    main()
