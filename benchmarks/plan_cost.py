"""Bar: planning an extend of a 60-chunk 720x720 take with 60 different prompts <= 20 ms.

    python -m benchmarks.plan_cost [--chunks 60] [--size 720] [--steps 64]

No model runs while an extend is planned, so a tiny transformer stands in for a large one; prompts are words, which
the bundled text encoder cleans. Four plans: nothing remembered, all remembered, the last prompt edited, one more chunk
behind a finished take. Ratio: the slowest of them (median of the repeats) against the bar.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from benchmarks.models import arguments, report
from magi_core.cache.engine_cache import EngineCache
from magi_core.engine import Engine
from magi_core.loading import load
from magi_core.sampling.extension import Extension
from magi_core.state import ChunkRecord, SamplerState
from tools.small_models import tiny_engine

BAR_MS = 20


def main() -> None:
    parser = arguments(__doc__, size=720, steps=64)
    parser.add_argument("--chunks", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    engine = tiny_engine(steps=options.steps).copy(
        text_encoder=load("nano").text_encoder, cache=EngineCache(chunk_bytes=1 << 30)
    )
    prompts = [f"a big red circle moves right, part {index} of the story" for index in range(options.chunks)]
    begun = engine.begin(width=options.size, height=options.size)
    first = time.perf_counter()
    extension = engine.plan(begun, prompts)
    first = time.perf_counter() - first
    nothing = _median(lambda: engine.plan(begun, prompts), options.repeats)
    taken = _finish(engine, extension)
    edited = [*prompts[:-1], "it turns blue"]
    times = {
        "nothing_remembered": nothing,
        "all_remembered": _median(lambda: engine.plan(begun, prompts), options.repeats),
        "last_edited": _median(lambda: engine.plan(begun, edited), options.repeats),
        "one_more": _median(lambda: engine.plan(taken, "it stops"), options.repeats),
    }
    report(
        "plan_cost",
        options,
        ratio=max(times.values()) / BAR_MS,
        bar=1,
        chunks=options.chunks,
        first_ms=round(first * 1000, 2),
        **{f"{name}_ms": round(ms, 2) for name, ms in times.items()},
    )


def _finish(engine: Engine, extension: Extension) -> SamplerState:
    """The take as if it had been rendered, and remembered."""
    state: SamplerState = replace(extension.begun)
    for index, chunk in extension.new.items():
        latent = torch.zeros(state.latent_shape)
        engine.cache.chunks.put(chunk.at.key, latent)
        state = state.with_chunk(ChunkRecord(chunk.at, latent))
        assert state.finished == index + 1
    return state


def _median(plan: Callable[[], Extension], repeats: int) -> float:
    """Milliseconds."""
    times: Sequence[float] = [_seconds(plan) for _ in range(repeats)]
    return statistics.median(times) * 1000


def _seconds(plan: Callable[[], Extension]) -> float:
    start = time.perf_counter()
    plan()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
