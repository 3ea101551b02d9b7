"""Bar: a chunk costs the same wherever it is. One-chunk extends at chunk 15 and at chunk 950.

    python -m benchmarks.flat_time [--model tiny] [--extends 20] [--first 15] [--far 950]

Both states are made of random latents, saved and loaded. Every attention call of one extend of each is recorded:
queries, keys, and which query reads which keys must be identical. Then one-chunk extends alternate between the two;
the K/V pages of the states stay, finished chunks and frontiers are forgotten, so that every extend samples. `clean`
goes on from finished chunks; `in flight` from a full window, left by an undrained extend. Ratio: the worse of the two
medians over pairs of extends, far / first; of processor times on a CPU, because other programs do not count in those.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.models import arguments, engine_for, report
from magi_core import load_state
from magi_core.attention.sdpa import sdpa
from magi_core.engine import Engine
from magi_core.state import ChunkRecord, PlacedChunk, SamplerState
from magi_core.story.chunk import ChunkSpec

PROMPT = "a big red circle on a white background"


class RecordingAttention:
    """Computes as `sdpa` does and notes the shape of the work."""

    def __init__(self) -> None:
        self.seen: list[tuple] = []

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, spans: list) -> Tensor:
        self.seen.append((q.shape[0], k.shape[0], tuple(spans)))
        return sdpa(q, k, v, spans)


def random_state(engine: Engine, size: int, chunks: int) -> SamplerState:
    """A state with `chunks` finished chunks of noise, saved and loaded; the last are the same at every length."""
    state = engine.begin(width=size, height=size)
    for index in range(chunks):
        from_the_end = torch.Generator().manual_seed(chunks - index)
        latent = torch.randn(state.latent_shape, generator=from_the_end)
        place = PlacedChunk(index, ChunkSpec("noise"), 0, key=f"noise {chunks}.{index}")
        state = state.with_chunk(ChunkRecord(place, latent))
    with tempfile.TemporaryDirectory() as folder:
        state.save(Path(folder) / "state.magi")
        return load_state(Path(folder) / "state.magi")


def forget_results(engine: Engine) -> None:
    engine.cache.chunks.clear()
    engine.cache.frontiers.clear()


def compare(engine: Engine, states: dict[str, SamplerState], extend: Callable, extends: int) -> dict:
    recorder = RecordingAttention()
    recording = engine.copy(attention=recorder)
    seen = []
    for state in states.values():
        extend(recording, state)  # makes missing K/V pages, which is not part of a chunk's cost
        forget_results(engine)
        recorder.seen.clear()
        extend(recording, state)
        seen.append(list(recorder.seen))
    wall: list[float] = []
    processor: list[float] = []
    for turn in range(extends):
        took = {}
        for name in list(states)[:: -1 if turn % 2 else 1]:
            forget_results(engine)
            start = time.perf_counter(), time.process_time()
            extend(engine, states[name])
            took[name] = time.perf_counter() - start[0], time.process_time() - start[1]
        first, far = (took[name] for name in states)
        wall.append(far[0] / first[0])
        processor.append(far[1] / first[1])
    on_cpu = engine.dit.device.type == "cpu"
    return {
        "attention calls": len(seen[0]),
        "identical": bool(seen[0]) and seen[0] == seen[1],
        "ratio": round(statistics.median(processor if on_cpu else wall), 4),
        "wall time ratio": round(statistics.median(wall), 4),
        "last pair, ms": [round(first[0] * 1000, 2), round(far[0] * 1000, 2)],
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--extends", type=int, default=20)
    parser.add_argument("--first", type=int, default=15)
    parser.add_argument("--far", type=int, default=950)
    options = parser.parse_args()
    engine = engine_for(options)
    states = {str(chunks): random_state(engine, options.size, chunks) for chunks in (options.first, options.far)}
    clean = compare(engine, states, lambda e, state: e.extend(state, PROMPT), options.extends)
    window = engine.settings.window + 1
    full = {name: engine.extend(state, PROMPT, window, drain=False) for name, state in states.items()}
    in_flight = compare(engine, full, lambda e, state: e.extend(state, PROMPT, drain=False), options.extends)
    report(
        "flat_time",
        options,
        ratio=max(clean["ratio"], in_flight["ratio"]),
        bar=1.03,
        identical=clean["identical"] and in_flight["identical"],
        chunks=[options.first, options.far],
        clean=clean,
        in_flight=in_flight,
    )


if __name__ == "__main__":
    main()
