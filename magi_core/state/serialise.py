"""A state as words (JSON) and named tensors, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import Tensor

from magi_core.config import Guidance, SamplingSettings
from magi_core.digest import digest
from magi_core.errors import MagiError, echo
from magi_core.state.chunk import ChunkRecord, PlacedChunk, Source
from magi_core.state.frontier import Frontier, InFlight, finished_and_read
from magi_core.state.given_sound import sound_from
from magi_core.state.state import SamplerState
from magi_core.state.unfinished import Unfinished
from magi_core.story.chunk import ChunkSpec, json_fields
from magi_core.text.chunk_text import ChunkText

Words = dict[str, Any]
Tensors = dict[str, Tensor]

PLAIN = ("width", "height", "fps", "seed", "channels", "fingerprint", "model", "total_chunks", "notes")
SINCE_3 = ("prefix_key", "end")
SINCE_4 = ("weights_digest",)
LATER = {"filled": 0, "vae": ""}  # what takes may lack that were saved before it, and what it was


def chunk_parts(record: ChunkRecord) -> tuple[Words, Tensors]:
    """One finished chunk."""
    return _record_words(record), {f"chunk.{record.index}": record.latent}


def head_parts(state: SamplerState) -> tuple[Words, Tensors]:
    """Everything but the finished chunks and the prefix: settings, the pipeline at its frontiers, what is to come."""
    tensors: Tensors = {}
    texts: dict[str, str] = {}  # name by key: chunks that share a text store it once
    words = {name: getattr(state, name) for name in (*PLAIN, *SINCE_3, *SINCE_4, *LATER)}
    words["settings"] = asdict(state.settings)
    if state.settings.draft == "off":
        del words["settings"]["draft"]  # which versions before there were drafts do not know

    def frontier_words(frontier: Frontier, latents: str = "in_flight") -> Words:
        chunks = []
        for chunk in frontier.chunks:
            name = texts.setdefault(chunk.text.key, f"text.{len(texts)}")
            latent = f"{latents}.{frontier.next_chunk}.{chunk.index}"
            tensors.update({name: chunk.text.tokens, latent: chunk.latent})
            text = {"text": name, "text_key": chunk.text.key}
            source = _source_words(chunk.source, f"{latent}.source")
            tensors.update({} if chunk.source is None else {f"{latent}.source": chunk.source.record.latent})
            own = {"latent": latent, "stage": chunk.stage, "source": source}
            chunks.append(_placed_words(chunk.at) | text | own)
        place = {"next_chunk": frontier.next_chunk, "run_start": frontier.run_start, "last": frontier.last}
        return place | {"chunks": chunks}

    words["frontiers"] = [frontier_words(frontier) for frontier in state.frontiers]
    words["frontier"] = None if state.frontier is None else frontier_words(state.frontier)
    run = state.unfinished
    words["unfinished"] = None
    if run is not None:
        asked = {"run_start": run.run_start, "drain": run.drain, "end": run.end, "to_come": _spec_runs(run.to_come)}
        words["unfinished"] = {"frontier": frontier_words(run.frontier, "unfinished")} | asked
    return words, tensors


def state_from(words: Words, chunks: list[Words], tensors: Tensors) -> SamplerState:
    """The state that `head_parts` and `chunk_parts` took apart. Raises KeyError and TypeError where something is
    missing or wrong."""
    settings: Words = _tupled(words["settings"])
    guidance = Guidance(**_tupled(settings.pop("guidance")))

    def in_flight(chunk: Words) -> InFlight:
        text = ChunkText(tensors[chunk["text"]], chunk["text_key"])
        source = None if chunk["source"] is None else _source_from(chunk["source"], tensors)
        return InFlight(_placed_from(chunk), text, tensors[chunk["latent"]], chunk["stage"], source)

    def frontier_from(words: Words) -> Frontier:
        moving = tuple(map(in_flight, words["chunks"]))
        return Frontier(moving, words["next_chunk"], words["run_start"], words["last"])

    def record_from(chunk: Words) -> ChunkRecord:
        return _record_from(chunk, tensors[f"chunk.{chunk['index']}"])

    def unfinished_from(words: Words) -> Unfinished:
        to_come = [one for count, spec in words["to_come"] for one in [_spec_from(spec)] * count]
        frontier = frontier_from(words["frontier"])
        return Unfinished(frontier, words["run_start"], tuple(to_come), words["drain"], words["end"])

    frontier, run = words["frontier"], words["unfinished"]
    state = SamplerState(
        **{name: words[name] for name in (*PLAIN, *SINCE_3, *SINCE_4, *LATER)} | {"notes": tuple(words["notes"])},
        settings=SamplingSettings(**settings, guidance=guidance),
        prefix=tensors.get("prefix"),
        chunks=tuple(map(record_from, chunks)),
        frontier=None if frontier is None else frontier_from(frontier),
        frontiers=tuple(map(frontier_from, words["frontiers"])),
        unfinished=None if run is None else unfinished_from(run),
        sound=sound_from(tensors),
    )
    return _with_what_is_read(state)


def _with_what_is_read(state: SamplerState) -> SamplerState:
    """`state`, its frontiers with the keys of the finished chunks that they read."""

    def reading(frontier: Frontier) -> Frontier:
        sights = {chunk.index: chunk.at.sight for chunk in frontier.chunks}
        flying = range(frontier.oldest, frontier.next_chunk)
        read = finished_and_read(state.settings, flying, frontier.next_chunk, sights.__getitem__)
        return replace(frontier, read=tuple(map(state.chunk_key, read)))

    run = state.unfinished
    return replace(
        state,
        frontier=None if state.frontier is None else reading(state.frontier),
        frontiers=tuple(map(reading, state.frontiers)),
        unfinished=None if run is None else replace(run, frontier=reading(run.frontier)),
    )


def from_format_4(words: Words, chunks: list[Words]) -> tuple[Words, list[Words]]:
    """Words of format 4 as those of today: it knew no second passes. What is wrong is left for `check_take`."""

    def today(frontier: Any) -> Any:
        if not isinstance(frontier, dict) or not isinstance(frontier.get("chunks"), list):
            return frontier
        moving = [chunk | {"source": None} if isinstance(chunk, dict) else chunk for chunk in frontier["chunks"]]
        return frontier | {"chunks": moving}

    words = words | {"frontier": today(words.get("frontier"))}
    if isinstance(words.get("frontiers"), list):
        words["frontiers"] = [today(frontier) for frontier in words["frontiers"]]
    run = words.get("unfinished")
    if isinstance(run, dict):
        words["unfinished"] = run | {"frontier": today(run.get("frontier"))}
    return words, [chunk | {"flown": ""} if isinstance(chunk, dict) else chunk for chunk in chunks]


def from_format_3(words: Words) -> Words:
    """Words of format 3 as those of format 4: it knew nothing of runs that were broken off, nor digests of weights."""
    return words | {"unfinished": None, "weights_digest": ""}


def from_format_2(words: Words, chunks: list[Words], tensors: Tensors, where: Path) -> tuple[Words, list[Words]]:
    """Words of format 2 as those of format 4. Its chunks know no walls; what follows them may raise some.

    Raises `MagiError` for words that cannot be such a take's; `where` is named.
    """
    try:
        seed, prefix = words["seed"], tensors.get("prefix")
        frontiers = [_frontier_of_2(frontier, seed, tensors) for frontier in words["frontiers"]]
        own = None if words["frontier"] is None else _frontier_of_2(words["frontier"], seed, tensors)
        since = {"prefix_key": "" if prefix is None else digest(prefix), "end": None}
        today = from_format_3(words) | since | {"frontier": own, "frontiers": frontiers}
        return today, [_chunk_of_2(chunk, "index", seed) | {"run_start": chunk["run_start"]} for chunk in chunks]
    except ValueError as error:
        raise MagiError(f"{where} is damaged, or no take that can be: {echo(error)}") from None
    except (TypeError, KeyError, AttributeError):
        what = "something that it says is missing or of another kind"
        raise MagiError(f"{where} is damaged, or no take that can be: {what}") from None


def _chunk_of_2(chunk: Words, number: str, seed: int) -> Words:
    """number: the name that its index has."""
    own = chunk["transition"] == "continue"  # another transition's ranges follow from it
    ranges, tokens = chunk["kv_ranges"], chunk["special_tokens"]
    spec = ChunkSpec(
        chunk["prompt"],
        chunk["seed"] - seed,
        chunk["transition"],
        tuple(ranges) if own and ranges is not None else None,
        None if tokens is None else tuple(tokens),
    )
    return _placed_words(PlacedChunk(chunk[number], spec, chunk["seed"], key=chunk["key"]))


def _frontier_of_2(frontier: Words, seed: int, tensors: Tensors) -> Words:
    moving = [
        _chunk_of_2(chunk, "chunk", seed)
        | {"text": chunk["text"], "text_key": digest("text", tensors[chunk["text"]])}
        | {"latent": chunk["latent"], "stage": chunk["stage"]}
        for chunk in frontier["chunks"]
    ]
    place = {name: frontier[name] for name in ("next_chunk", "run_start")}
    return place | {"last": frontier["key"], "chunks": moving}


def _source_words(source: Source | None, latent: str) -> Words | None:
    """latent: the name of its tensor."""
    if source is None:
        return None
    return _record_words(source.record) | {"latent": latent, "release": source.release}


def _source_from(words: Words, tensors: Tensors) -> Source:
    return Source(_record_from(words, tensors[words["latent"]]), words["release"])


def _record_words(record: ChunkRecord) -> Words:
    return _placed_words(record.at) | {"run_start": record.run_start, "flown": record.flown}


def _record_from(words: Words, latent: Tensor) -> ChunkRecord:
    return ChunkRecord(_placed_from(words), latent, words["run_start"], words["flown"])


def _placed_words(chunk: PlacedChunk) -> Words:
    return {
        "index": chunk.index,
        "spec": _spec_words(chunk.spec),
        "seed": chunk.seed,
        "wall": chunk.wall,
        "key": chunk.key,
    }


def _placed_from(words: Words) -> PlacedChunk:
    return PlacedChunk(words["index"], _spec_from(words["spec"]), words["seed"], words["wall"], words["key"])


def _spec_words(spec: ChunkSpec) -> Words:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in spec.json.items()}


def _spec_from(words: Words) -> ChunkSpec:
    return ChunkSpec(words["prompt"], **json_fields(words))


def _spec_runs(specs: Sequence[ChunkSpec]) -> list[tuple[int, Words]]:
    """How many chunks in a row are asked for alike, and what: a prompt that goes on is written once."""
    return [(sum(1 for _ in alike), _spec_words(spec)) for spec, alike in groupby(specs)]


def _tupled(words: Words) -> Words:
    """JSON has no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in words.items()}
