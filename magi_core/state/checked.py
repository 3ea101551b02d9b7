"""Whether the words of a take can be true: sizes, numbers and places within bounds, and what they claim in the file.

A take may come from anywhere. Words that pass here make no state that takes more than the file holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magi_core.config import CHUNK_FRAMES, FRAMES_PER_LATENT, PIXELS_PER_LATENT, VIDEO_FRAMES_PER_CHUNK, is_whole
from magi_core.config import MAX_CHUNKS as MAX_CHUNKS_AT_ONCE
from magi_core.errors import MagiError, echo
from magi_core.state.plausible import implausible
from magi_core.story.chunk import ChunkSpec, json_fields
from magi_core.video.size import MAX_SIDE

MAX_CHANNELS = 1024
MAX_CHUNKS = 1_000_000
MAX_TEXT_TOKENS = 65_536
LONGEST_PROMPT = 1_000_000  # characters; prompts of a library's user are not cut
LONGEST_LIST = 10_000
WHOLE_64 = (-(2**64), 2**64)

Words = Mapping[str, Any]


def check_take(words: Words, chunks: Sequence[Any], tensors: Mapping[str, Tensor], where: Path) -> None:
    """Raise `MagiError` unless a state can be made of these words and tensors, in bounded time and memory."""
    try:
        given = _check_head(words, tensors)
        latent = _latent_shape(words)
        for number, chunk in enumerate(chunks):
            _check_chunk(chunk, given + number)
            _check_made(chunk, given + number)
            _check_tensor(tensors, f"chunk.{given + number}", (latent,))
        finished = given + len(chunks)
        for frontier in _frontiers(words):
            _check_frontier(frontier, finished, words["settings"], latent, tensors)
        if words["unfinished"] is not None:
            _check_unfinished(words["unfinished"], finished)
    except ValueError as error:
        raise MagiError(f"{where} is damaged, or no take that can be: {echo(error)}") from None
    except (TypeError, KeyError, AttributeError):
        what = "something that it says is missing or of another kind"
        raise MagiError(f"{where} is damaged, or no take that can be: {what}") from None


def files_of_chunks(words: Words, folder: Path) -> range:
    """Indices of the chunks in the folder of a take that is being made; `MagiError` for more than it has files."""
    first: Any = words.get("first_chunk")
    finished: Any = words.get("finished")
    whole = all(is_whole(number) and 0 <= number <= MAX_CHUNKS for number in (first, finished))
    if not whole or finished - first > sum(1 for _ in folder.iterdir()):
        raise MagiError(
            f"{folder} is damaged: it claims the chunks {echo(first)} to {echo(finished)}, and does not hold so many"
        )
    return range(first, finished)


def _check_head(words: Words, tensors: Mapping[str, Tensor]) -> int:
    """Of everything but chunks and frontiers; returns the number of chunks that were given whole."""
    for name in ("width", "height"):
        _whole(words, name, PIXELS_PER_LATENT, MAX_SIDE)
        if words[name] % PIXELS_PER_LATENT:
            raise ValueError(f"{name} is no multiple of {PIXELS_PER_LATENT}: {echo(words[name])}")
    _whole(words, "channels", 1, MAX_CHANNELS)
    _whole(words, "seed", *WHOLE_64)
    _number(words, "fps", 0.01, 10_000)
    for name in ("fingerprint", "model", "prefix_key", "weights_digest", "vae"):
        _text(words, name, 1000)
    if words["total_chunks"] is not None:
        _whole(words, "total_chunks", -MAX_CHUNKS, MAX_CHUNKS)
    if len(_list(words, "notes")) and not all(isinstance(note, str) for note in words["notes"]):
        raise ValueError("notes are no texts")
    if words["end"] is not None:
        _whole(words, "end", 1, MAX_CHUNKS * VIDEO_FRAMES_PER_CHUNK)
    _whole(words, "filled", 0, FRAMES_PER_LATENT - 1 if "prefix" in tensors else 0)
    _check_settings(words["settings"])
    if "prefix" not in tensors:
        return 0
    channels, _, height, width = _latent_shape(words)
    frames = tensors["prefix"].shape[2] if tensors["prefix"].ndim == 5 else 0
    _check_tensor(tensors, "prefix", ((1, channels, frames, height, width),))
    return frames // CHUNK_FRAMES


def _check_settings(settings: Words) -> None:
    for name, least in (("steps", 1), ("window", 1), ("clean_kv_range", -1)):
        _whole(settings, name, least, LONGEST_LIST)
    for name in ("clean_t", "nearly_clean_blend", "nearly_clean_threshold"):
        _number(settings, name, -1, 2)
    for name in ("duration_tokens", "reference_quirks"):
        _switch(settings, name)
    _text(settings, "shortcut", 100)
    if "draft" in settings:
        _text(settings, "draft", 100)
    _ranges(settings, "kv_ranges")
    for name in ("negative_tokens", "special_tokens"):
        _names(settings, name)
    for scales in settings["guidance"].values():
        if not isinstance(scales, list) or not all(_is_number(scale) and abs(scale) < 1e6 for scale in scales):
            raise ValueError(f"guidance has scales that are none: {echo(scales)}")


def _check_chunk(chunk: Any, index: int) -> None:
    """What finished chunks and those in flight have in common."""
    if not isinstance(chunk, dict) or not is_whole(chunk.get("index")) or chunk["index"] != index:
        found = chunk.get("index") if isinstance(chunk, dict) else chunk
        raise ValueError(f"chunk {index} is missing: in its place there is {echo(found)}")
    _check_spec(chunk["spec"])
    _text(chunk, "key", 1000)
    _whole(chunk, "seed", *WHOLE_64)
    _whole(chunk, "wall", 0, index)


def _check_made(chunk: Words, index: int) -> None:
    """What finished chunks and sources have beside it."""
    _whole(chunk, "run_start", 0, index)
    _text(chunk, "flown", 1000)


def _check_spec(spec: Words) -> None:
    """What is asked of one chunk."""
    _text(spec, "prompt", LONGEST_PROMPT)
    for name in ("ranges", "tokens"):
        if len(spec.get(name, ())) > LONGEST_LIST:
            raise ValueError(f"{name} of a chunk are more than {LONGEST_LIST:,}")
    ChunkSpec(spec["prompt"], **json_fields(spec))


def _frontiers(words: Words) -> Iterator[Words]:
    yield from _list(words, "frontiers")
    if words["frontier"] is not None:
        yield words["frontier"]
    if words["unfinished"] is not None:
        yield words["unfinished"]["frontier"]


def _check_unfinished(run: Words, finished: int) -> None:
    """The run that a take was in the middle of; its frontier is looked at with the others."""
    frontier = run["frontier"]
    oldest = frontier["next_chunk"] - len(frontier["chunks"])
    if not oldest <= finished <= frontier["next_chunk"]:
        raise ValueError(f"chunks {oldest} to {frontier['next_chunk'] - 1} are in flight where {finished} are finished")
    _whole(run, "run_start", 0, finished)
    _switch(run, "drain")
    if run["end"] is not None:
        _whole(run, "end", 1, MAX_CHUNKS * VIDEO_FRAMES_PER_CHUNK)
    left = MAX_CHUNKS_AT_ONCE
    for entry in _list(run, "to_come", MAX_CHUNKS_AT_ONCE):
        count, spec = entry
        if not is_whole(count) or not 1 <= count <= left:
            raise ValueError(f"chunks to come must be at most {MAX_CHUNKS_AT_ONCE:,}: {echo(count)}")
        _check_spec(spec)
        left -= count


def _check_frontier(
    frontier: Words, finished: int, settings: Words, latent: tuple[int, ...], tensors: Mapping[str, Tensor]
) -> None:
    chunks, window = _list(frontier, "chunks"), settings["window"]
    if len(chunks) >= window:
        raise ValueError(f"{len(chunks)} chunks are in flight where a window of {window} is said")
    _whole(frontier, "next_chunk", 0, finished + len(chunks))
    _whole(frontier, "run_start", 0, frontier["next_chunk"])
    _text(frontier, "last", 1000)
    oldest = frontier["next_chunk"] - len(chunks)
    if oldest < 0:
        raise ValueError(f"{len(chunks)} chunks are in flight before chunk {frontier['next_chunk']}")
    shapes = tuple((latent[0], frames, *latent[2:]) for frames in range(1, CHUNK_FRAMES + 1))
    for index, chunk in enumerate(chunks, start=oldest):
        _check_chunk(chunk, index)
        _text(chunk, "text_key", 1000)
        stage = frontier["next_chunk"] - index  # one enters at every stage
        _whole(chunk, "stage", stage, stage)
        if not chunk["key"]:
            raise ValueError(f"chunk {index} is in flight and has no key")
        _check_tensor(tensors, chunk["latent"], shapes)
        if chunk["source"] is not None:
            _check_source(chunk["source"], index, settings["steps"], latent, tensors)
        text = tensors[chunk["text"]]
        if text.ndim != 2 or len(text) > MAX_TEXT_TOKENS or not text.is_floating_point():
            raise ValueError(f"the text of chunk {index} is {text.dtype} {list(text.shape)}")
        if wrong := implausible(text):
            raise ValueError(f"the text of chunk {index} has {wrong}")


def _check_source(
    source: Words, index: int, steps: int, latent: tuple[int, ...], tensors: Mapping[str, Tensor]
) -> None:
    """What a chunk in flight is made from."""
    _check_chunk(source, index)
    _check_made(source, index)
    if source["release"] is not None:
        _whole(source, "release", 1, steps - 1)
    _check_tensor(tensors, source["latent"], (latent,))


def _latent_shape(words: Words) -> tuple[int, int, int, int]:
    return words["channels"], CHUNK_FRAMES, words["height"] // PIXELS_PER_LATENT, words["width"] // PIXELS_PER_LATENT


def _check_tensor(tensors: Mapping[str, Tensor], name: str, shapes: Sequence[tuple[int, ...]]) -> None:
    tensor = tensors.get(name)
    if tensor is None:
        raise ValueError(f"{echo(name)} is missing")
    if tuple(tensor.shape) not in shapes or tensor.dtype != torch.float32:
        raise ValueError(f"{name} is {tensor.dtype} {list(tensor.shape)} where {list(shapes[-1])} is said")
    if wrong := implausible(tensor):
        raise ValueError(f"{name} has {wrong}")


def _whole(words: Words, name: str, least: int, most: int) -> None:
    value = words[name]
    if not is_whole(value) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}: {echo(value)}")


def _number(words: Words, name: str, least: float, most: float) -> None:
    if not _is_number(words[name]) or not least <= words[name] <= most:
        raise ValueError(f"{name} must be a number from {least} to {most}: {echo(words[name])}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(words: Words, name: str, longest: int) -> None:
    if not isinstance(words[name], str) or len(words[name]) > longest:
        raise ValueError(f"{name} must be a text of at most {longest:,} characters: {echo(words[name])}")


def _switch(words: Words, name: str) -> None:
    if not isinstance(words[name], bool):
        raise ValueError(f"{name} must be true or false: {echo(words[name])}")


def _list(words: Words, name: str, longest: int = LONGEST_LIST) -> list[Any]:
    if not isinstance(words[name], list) or len(words[name]) > longest:
        raise ValueError(f"{name} must be a list of at most {longest:,}: {echo(words[name])}")
    return words[name]


def _ranges(words: Words, name: str) -> None:
    if not all(is_whole(r) and 1 <= r <= MAX_CHUNKS for r in _list(words, name)):
        raise ValueError(f"{name} must be whole numbers from 1 on: {echo(words[name])}")


def _names(words: Words, name: str) -> None:
    if not all(isinstance(entry, str) and len(entry) <= 100 for entry in _list(words, name)):
        raise ValueError(f"{name} must be names: {echo(words[name])}")
