"""On-disk size of a saved take: 60 chunks at 720x720, as the 4.5B model makes them.

    python -m benchmarks.take_size [--size 720] [--chunks 60] [--words 60]

Latents and texts have the shapes of the official 4.5B model (16 channels; 4096 caption channels, prompts of `words`
tokens, one per chunk) and random contents; nothing is sampled. Ratio: the file against its finished latents in float32.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.models import arguments, report
from magi_core.config import SamplingSettings
from magi_core.state import ChunkRecord, Frontier, InFlight, PlacedChunk, SamplerState, load_state
from magi_core.story.chunk import ChunkSpec
from magi_core.text.chunk_text import ChunkText


def random_take(size: int, chunks: int, words: int) -> SamplerState:
    state = SamplerState(size, size, 24, 7, SamplingSettings(), channels=16, fingerprint="f" * 64)
    shape = state.latent_shape
    frontiers = []
    spec = ChunkSpec("a prompt of some length " * 4)
    for index in range(chunks):
        places = [PlacedChunk(index + i, spec, 7, key=f"{index + i:064x}") for i in range(3)]
        state = state.with_chunk(ChunkRecord(places[0], torch.randn(shape)))
        texts = [ChunkText(torch.randn(words, 4096), f"text {index} {i}") for i in range(3)]
        moving = (InFlight(places[i], texts[i], torch.randn(shape), stage=3 - i) for i in range(3))
        frontiers.append(Frontier(tuple(moving), index + 1, 0, places[0].key))
    return replace(state, frontier=frontiers[-1], frontiers=tuple(frontiers[:-1]))


def main() -> None:
    parser = arguments(__doc__, size=720)
    parser.add_argument("--chunks", type=int, default=60)
    parser.add_argument("--words", type=int, default=60)
    options = parser.parse_args()
    state = random_take(options.size, options.chunks, options.words)
    megabytes, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, everything in (("with its frontier", False), ("with all frontiers", True)):
            path = Path(folder) / "take.magi"
            start = time.perf_counter()
            state.save(path, all_frontiers=everything)
            middle = time.perf_counter()
            loaded = load_state(path)
            seconds[name] = {"save": round(middle - start, 2), "load": round(time.perf_counter() - middle, 2)}
            megabytes[name] = round(path.stat().st_size / 1e6, 1)
    latents = sum(record.latent.nbytes for record in state.chunks) / 1e6
    report(
        "take_size",
        options,
        ratio=megabytes["with its frontier"] / latents,
        bar=1.2,
        chunks=options.chunks,
        megabytes=megabytes,
        megabytes_of_latents=round(latents, 1),
        seconds=seconds,
        same=torch.equal(loaded.chunks[-1].latent, state.chunks[-1].latent),
    )


if __name__ == "__main__":
    main()
