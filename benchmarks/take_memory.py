"""Bar: two takes forked at chunk 8 hold, beside what one holds, only the new chunks.

    python -m benchmarks.take_memory [--model tiny] [--fork 8] [--chunks 10]

Counts the bytes of every distinct tensor storage that the states reach. Ratio: bytes the second take adds in finished
chunks against the latents of its new chunks. `pipeline` is what it adds in its frontier (chunks in flight, for a
continuous extend later: once per take, whatever its length); `clean` is a take that was left without one. What the
engine remembers beside the states is bounded and given as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor

from benchmarks.models import arguments, engine_for, report, ten_prompts
from magi_core.state import SamplerState


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the distinct storages behind `tensors`, each whole."""
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def finished(*states: SamplerState) -> list[Tensor]:
    return [record.latent for state in states for record in state.chunks]


def everything(*states: SamplerState) -> list[Tensor]:
    in_flight = [chunk for state in states if state.frontier is not None for chunk in state.frontier.chunks]
    return finished(*states) + [tensor for chunk in in_flight for tensor in (chunk.latent, chunk.text.tokens)]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--fork", type=int, default=8)
    parser.add_argument("--chunks", type=int, default=10)
    options = parser.parse_args()
    engine = engine_for(options)
    new, prompts = options.chunks - options.fork, ten_prompts()[: options.chunks]
    begun = engine.begin(width=options.size, height=options.size)
    one = engine.extend(begun, prompts, len(prompts))
    remembered = {name: stats.bytes for name, stats in engine.cache.stats.items()}
    other = engine.extend(one.at(options.fork), "a small green star", new, handoff="continuous")
    more = {name: stats.bytes - remembered[name] for name, stats in engine.cache.stats.items()}
    chunk = one.chunks[0].latent.nbytes
    extra = storage_bytes(finished(one, other)) - storage_bytes(finished(one))
    bare = replace(other, frontier=None)
    with_pipeline = storage_bytes(everything(one, other)) - storage_bytes(everything(one))
    report(
        "take_memory",
        options,
        ratio=extra / (new * chunk),
        bar=1.0,
        chunk_bytes=chunk,
        new_chunks=new,
        extra_bytes={
            "finished chunks": extra,
            "pipeline": with_pipeline - extra,
            "without pipeline": storage_bytes(everything(one, bare)) - storage_bytes(everything(one)),
        },
        engine_remembers_more_bytes=more,
        earlier_chunks_are_shared=one.chunks[: options.fork] == other.chunks[: options.fork],
    )


if __name__ == "__main__":
    main()
