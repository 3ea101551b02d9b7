"""A state as words (JSON) and named tensors, and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from torch import Tensor

from magi_core.config import Guidance, SamplingSettings
from magi_core.state.chunk import ChunkRecord
from magi_core.state.frontier import Frontier, InFlight
from magi_core.state.state import SamplerState

Words = dict[str, Any]
Tensors = dict[str, Tensor]

PLAIN = ("width", "height", "fps", "seed", "channels", "fingerprint", "model", "total_chunks", "notes")


def chunk_parts(record: ChunkRecord) -> tuple[Words, Tensors]:
    """One finished chunk."""
    return _without(record, "latent"), {f"chunk.{record.index}": record.latent}


def head_parts(state: SamplerState) -> tuple[Words, Tensors]:
    """Everything but the finished chunks and the prefix: settings, the pipeline at its frontiers."""
    tensors: Tensors = {}
    texts: dict[tuple[int, ...], str] = {}  # by place in memory: equal prompts are often views of one tensor
    words = {name: getattr(state, name) for name in PLAIN} | {"settings": asdict(state.settings)}

    def frontier_words(frontier: Frontier) -> Words:
        chunks = []
        for chunk in frontier.chunks:
            name = texts.setdefault((chunk.text.data_ptr(), *chunk.text.shape), f"text.{len(texts)}")
            latent = f"in_flight.{frontier.next_chunk}.{chunk.chunk}"
            tensors.update({name: chunk.text, latent: chunk.latent})
            chunks.append(_without(chunk, "latent", "text") | {"text": name, "latent": latent})
        return vars(frontier) | {"chunks": chunks}

    words["frontiers"] = [frontier_words(frontier) for frontier in state.frontiers]
    words["frontier"] = None if state.frontier is None else frontier_words(state.frontier)
    return words, tensors


def state_from(words: Words, chunks: list[Words], tensors: Tensors) -> SamplerState:
    """The state that `head_parts` and `chunk_parts` took apart. Raises KeyError and TypeError where something is
    missing or wrong."""
    settings = {name: tuple(v) if isinstance(v, list) else v for name, v in words["settings"].items()}
    guidance = Guidance(**{name: tuple(values) for name, values in settings.pop("guidance").items()})

    def frontier_from(words: Words) -> Frontier:
        moving = [c | {"latent": tensors[c["latent"]], "text": tensors[c["text"]]} for c in words["chunks"]]
        return Frontier(**words | {"chunks": tuple(InFlight(**_tupled(chunk)) for chunk in moving)})

    frontier = words["frontier"]
    return SamplerState(
        **{name: words[name] for name in PLAIN} | {"notes": tuple(words["notes"])},
        settings=SamplingSettings(**settings, guidance=guidance),
        prefix=tensors.get("prefix"),
        chunks=tuple(ChunkRecord(**_tupled(c), latent=tensors[f"chunk.{c['index']}"]) for c in chunks),
        frontier=None if frontier is None else frontier_from(frontier),
        frontiers=tuple(frontier_from(earlier) for earlier in words["frontiers"]),
    )


def _without(value: ChunkRecord | InFlight, *tensors: str) -> Words:
    return {f.name: getattr(value, f.name) for f in fields(value) if f.name not in tensors}


def _tupled(words: Words) -> Words:
    """JSON has no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in words.items()}
