"""A state as words (JSON) and named tensors, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from magi_core.config import Guidance, SamplingSettings
from magi_core.digest import digest
from magi_core.state.chunk import ChunkRecord, PlacedChunk
from magi_core.state.frontier import Frontier, InFlight
from magi_core.state.state import SamplerState
from magi_core.story.chunk import ChunkSpec, json_fields
from magi_core.text.chunk_text import ChunkText

Words = dict[str, Any]
Tensors = dict[str, Tensor]

PLAIN = ("width", "height", "fps", "seed", "channels", "fingerprint", "model", "total_chunks", "notes")
SINCE_3 = ("prefix_key", "end")


def chunk_parts(record: ChunkRecord) -> tuple[Words, Tensors]:
    """One finished chunk."""
    words = _placed_words(record.at) | {"run_start": record.run_start}
    return words, {f"chunk.{record.index}": record.latent}


def head_parts(state: SamplerState) -> tuple[Words, Tensors]:
    """Everything but the finished chunks and the prefix: settings, the pipeline at its frontiers."""
    tensors: Tensors = {}
    texts: dict[str, str] = {}  # name by key: chunks that share a text store it once
    words = {name: getattr(state, name) for name in (*PLAIN, *SINCE_3)} | {"settings": asdict(state.settings)}

    def frontier_words(frontier: Frontier) -> Words:
        chunks = []
        for chunk in frontier.chunks:
            name = texts.setdefault(chunk.text.key, f"text.{len(texts)}")
            latent = f"in_flight.{frontier.next_chunk}.{chunk.index}"
            tensors.update({name: chunk.text.tokens, latent: chunk.latent})
            text = {"text": name, "text_key": chunk.text.key}
            chunks.append(_placed_words(chunk.at) | text | {"latent": latent, "stage": chunk.stage})
        place = {"next_chunk": frontier.next_chunk, "run_start": frontier.run_start, "last": frontier.last}
        return place | {"chunks": chunks}

    words["frontiers"] = [frontier_words(frontier) for frontier in state.frontiers]
    words["frontier"] = None if state.frontier is None else frontier_words(state.frontier)
    return words, tensors


def state_from(words: Words, chunks: list[Words], tensors: Tensors) -> SamplerState:
    """The state that `head_parts` and `chunk_parts` took apart. Raises KeyError and TypeError where something is
    missing or wrong."""
    settings: Words = _tupled(words["settings"])
    guidance = Guidance(**_tupled(settings.pop("guidance")))

    def in_flight(chunk: Words) -> InFlight:
        text = ChunkText(tensors[chunk["text"]], chunk["text_key"])
        return InFlight(_placed_from(chunk), text, tensors[chunk["latent"]], chunk["stage"])

    def frontier_from(words: Words) -> Frontier:
        moving = tuple(map(in_flight, words["chunks"]))
        return Frontier(moving, words["next_chunk"], words["run_start"], words["last"])

    def record_from(chunk: Words) -> ChunkRecord:
        return ChunkRecord(_placed_from(chunk), tensors[f"chunk.{chunk['index']}"], chunk["run_start"])

    frontier = words["frontier"]
    return SamplerState(
        **{name: words[name] for name in (*PLAIN, *SINCE_3)} | {"notes": tuple(words["notes"])},
        settings=SamplingSettings(**settings, guidance=guidance),
        prefix=tensors.get("prefix"),
        chunks=tuple(map(record_from, chunks)),
        frontier=None if frontier is None else frontier_from(frontier),
        frontiers=tuple(map(frontier_from, words["frontiers"])),
    )


def from_format_2(words: Words, chunks: list[Words], tensors: Tensors) -> tuple[Words, list[Words]]:
    """Words of format 2 as those of today. Its chunks know no walls; what follows them may raise some.

    Raises KeyError and TypeError as `state_from` does.
    """
    seed = words["seed"]

    def chunk_from(chunk: Words) -> Words:
        own = chunk["transition"] == "continue"  # another transition's ranges follow from it
        spec = ChunkSpec(
            chunk["prompt"],
            chunk["seed"] - seed,
            chunk["transition"],
            tuple(chunk["kv_ranges"]) if own and chunk["kv_ranges"] is not None else None,
            None if chunk["special_tokens"] is None else tuple(chunk["special_tokens"]),
        )
        index = chunk["index"] if "index" in chunk else chunk["chunk"]
        return _placed_words(PlacedChunk(index, spec, chunk["seed"], key=chunk["key"]))

    def frontier_from(frontier: Words) -> Words:
        moving = [
            chunk_from(chunk)
            | {"text": chunk["text"], "text_key": digest("text", tensors[chunk["text"]])}
            | {"latent": chunk["latent"], "stage": chunk["stage"]}
            for chunk in frontier["chunks"]
        ]
        place = {name: frontier[name] for name in ("next_chunk", "run_start")}
        return place | {"last": frontier["key"], "chunks": moving}

    prefix = tensors.get("prefix")
    today = words | {
        "prefix_key": "" if prefix is None else digest(prefix),
        "end": None,
        "frontier": None if words["frontier"] is None else frontier_from(words["frontier"]),
        "frontiers": [frontier_from(frontier) for frontier in words["frontiers"]],
    }
    return today, [chunk_from(chunk) | {"run_start": chunk["run_start"]} for chunk in chunks]


def _placed_words(chunk: PlacedChunk) -> Words:
    return {"index": chunk.index, "spec": chunk.spec.json, "seed": chunk.seed, "wall": chunk.wall, "key": chunk.key}


def _placed_from(words: Words) -> PlacedChunk:
    spec = words["spec"]
    return PlacedChunk(
        words["index"], ChunkSpec(spec["prompt"], **json_fields(spec)), words["seed"], words["wall"], words["key"]
    )


def _tupled(words: Words) -> Words:
    """JSON has no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in words.items()}
