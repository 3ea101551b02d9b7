"""Bars: 4.5B at 720x720, seconds per chunk with the VAE's decode: bf16 5.0, fp8 4.3; fp8 at 352x640 1.15.

    python -m benchmarks.chunk_rate [--format fp8] [--pixels 720x720] [--chunks 10] [--attention auto] [--behind]
        [--draft light] [--vram 8]

Distilled, 8 steps, random weights, through the engine; every chunk is decoded to frames in main memory before the next
one goes on. Medians of the chunks in steady state: not the first two, in which kernels are built and history is short.
`sampling` and `vae`: what either took of it. With --behind chunks are decoded beside the sampling of the next, as where
videos are written: `vae` is then from a chunk's beginning to its end there. `same`: whether the last chunk has the
frames that decoding it alone gives. With --vram the process keeps to so many GB, enforced; `streamed`: blocks, and
whether K/V pages are.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.official import official_config, random_dit, random_vae
from benchmarks.rates import MATMUL, card
from benchmarks.results import keep
from magi_core.attention.choose import get_attention
from magi_core.attention.flash import installed_flash
from magi_core.attention.spans import Attention
from magi_core.budget import WithinBudget, allowed_bytes, without_holes
from magi_core.budget.amounts import GB, OF_THE_DRIVER
from magi_core.cache.engine_cache import GIB, MOST_ON_GPU, EngineCache
from magi_core.config import DRAFTS
from magi_core.engine import Engine
from magi_core.host import Alone, Host
from magi_core.operations import Streamed
from magi_core.state import SamplerState
from magi_core.state.behind import one_behind
from magi_core.state.decode import TakeDecoder
from magi_core.text.conditioning import PromptEmbedding
from magi_core.vae import VAE

BARS = {("bf16", "720x720"): 5.0, ("fp8", "720x720"): 4.3, ("fp8", "352x640"): 1.15}
FIRST = 2


class InOrder:
    """Decodes every chunk before the next one goes on. each: seconds per chunk; of those in sampling and decoding."""

    def __init__(self, decoder: TakeDecoder) -> None:
        self.decoder = decoder
        self.each: list[float] = []
        self.sampling: list[float] = []
        self.decoding: list[float] = []
        self.last: tuple[SamplerState, torch.Tensor] | None = None

    def watch(self, states: Iterator[SamplerState]) -> None:
        began, done = time.perf_counter(), 0
        for state in states:
            torch.cuda.synchronize()
            if state.finished > done:
                self.sampling.append(time.perf_counter() - began)
                self.decode(state)
                self.each.append(time.perf_counter() - began)
            began, done = time.perf_counter(), state.finished

    def decode(self, state: SamplerState, _stopped: Callable[[], bool] = lambda: False) -> None:
        began = time.perf_counter()
        index = state.finished - 1
        self.last = state, torch.cat(list(self.decoder.decode(state, start=index, stop=index + 1)))
        self.decoding.append(time.perf_counter() - began)

    def same(self) -> bool:
        """Whether the last chunk has these frames when it is decoded alone."""
        assert self.last is not None, "a chunk was made"
        state, frames = self.last
        index = state.finished - 1
        return torch.equal(torch.cat(list(self.decoder.decode(state, start=index, stop=index + 1))), frames)


class Behind(InOrder):
    """Decodes every chunk while the next one is sampled."""

    def watch(self, states: Iterator[SamplerState]) -> None:
        began = time.perf_counter()
        finishing = (state for state in states if state.finished > len(self.sampling) and self._sampled())
        for _ in one_behind(finishing, self.decode, self.decoder.vae.device):
            self.each.append(time.perf_counter() - began)
            began = time.perf_counter()

    def _sampled(self) -> bool:
        now = time.perf_counter()
        self.sampling.append(now - getattr(self, "_since", now))
        self._since = now
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", default="fp8", choices=["bf16", "fp8"])
    parser.add_argument("--pixels", default="720x720")
    parser.add_argument("--chunks", type=int, default=10)
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--behind", action="store_true")
    parser.add_argument("--draft", choices=["off", *DRAFTS], default="off")
    parser.add_argument("--vram", type=float)
    options = parser.parse_args()
    if options.vram:
        without_holes()
    attention = get_attention(options.attention, "cuda")
    rates = card(attention)
    engine = made(options, attention)
    assert engine.vae is not None, "it was made with one"
    decoder = TakeDecoder(engine.vae)
    prompt = PromptEmbedding("", torch.randn(50, engine.dit.config.caption_channels))
    width, height = map(int, options.pixels.split("x"))
    extension = engine.plan(engine.begin(width=width, height=height, seed=1), prompt, options.chunks, drain=False)
    keep_to(options.vram, engine, extension.need.total)
    torch.cuda.reset_peak_memory_stats()
    states = engine.run(extension)
    timed = Behind(decoder) if options.behind else InOrder(decoder)
    timed.watch(states)
    each, sampling, decoding = timed.each, timed.sampling, timed.decoding
    whole = statistics.median(each[FIRST:])
    name = installed_flash() if options.attention == "auto" else options.attention
    row = {
        "sampling": round(statistics.median(sampling[FIRST:]), 3),
        "vae": round(statistics.median(decoding[FIRST:]), 3),
        "s per chunk": round(whole, 3),
        "scaled": round(whole * rates["matmul"] * 1e12 / MATMUL, 3),
        "bar": BARS.get((options.format, options.pixels)),
        "peak GB": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "streamed": [getattr(engine.host, "streamed", 0), extension.streamed_pages],
        "same": timed.same(),
        "each": [round(seconds, 3) for seconds in each],
    }
    how: dict[str, object] = {"decoded": "behind" if options.behind else None, "vram": options.vram}
    how["draft"] = None if options.draft == "off" else options.draft
    what = {"format": options.format, "pixels": options.pixels, "attention": name or "sdpa"} | how
    keep("chunk_rate", what, rates, [row])


def made(options: argparse.Namespace, attention: Attention) -> Engine:
    operations = Streamed()
    dit = random_dit(official_config("4.5B", fp8=options.format == "fp8"), operations=operations)
    vae = VAE(random_vae(torch.bfloat16))
    host: Host = Alone()
    cache = EngineCache("cuda", device_bytes=8 * GIB)
    if options.vram:
        allowed, beside = allowed_bytes(options.vram), sum(parameter.nbytes for parameter in vae.model.parameters())
        host = WithinBudget(dit, operations, torch.device("cuda"), allowed, beside)
        cache = EngineCache("cuda", device_bytes=MOST_ON_GPU)
    engine = Engine(dit, vae=vae, attention=attention, fingerprint="random", cache=cache, host=host)
    return engine.with_settings(steps=8, special_tokens=(), duration_tokens=False, draft=options.draft)


def keep_to(vram: float | None, engine: Engine, need: int) -> None:
    """Weights in their places, and no more on the device from then on."""
    engine.host.loaded_for(need)
    torch.cuda.empty_cache()
    if vram:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((vram * GB - OF_THE_DRIVER) / total)


if __name__ == "__main__":
    main()
