"""A state as one file: safetensors with its words in the metadata. No K/V; those are made again from latents."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from magi_core.config import Guidance, SamplingSettings
from magi_core.errors import MagiError
from magi_core.state.frontier import Frontier, InFlight
from magi_core.state.state import ChunkRecord, SamplerState

FORMAT = 1
KEY = "magi_state"


def save_state(state: SamplerState, path: str | Path) -> None:
    """Write `state` to `path`, replacing it whole or not at all. float32 latents: 3 MiB a chunk at 720x720."""
    path = Path(path)
    tensors: dict[str, Tensor] = {f"chunk.{record.index}": record.latent for record in state.chunks}
    if state.prefix is not None:
        tensors["prefix"] = state.prefix
    in_flight = () if state.frontier is None else state.frontier.chunks
    for chunk in in_flight:
        text = chunk.text.clone()  # equal prompts share one tensor; the file format refuses that
        tensors |= {f"in_flight.{chunk.chunk}": chunk.latent, f"text.{chunk.chunk}": text}
    words = {
        "format": FORMAT,
        **{name: getattr(state, name) for name in PLAIN},
        "settings": asdict(state.settings),
        "chunks": [_words(record, "latent") for record in state.chunks],
        "frontier": None if state.frontier is None else _frontier_words(state.frontier),
    }
    part = path.with_name(path.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, {KEY: json.dumps(words)})
        os.replace(part, path)
    except OSError as error:
        raise MagiError(f"cannot save to {path} ({error}): choose another place, or make room") from None
    finally:
        part.unlink(missing_ok=True)


def load_state(path: str | Path) -> SamplerState:
    """The state saved at `path`. Raises `MagiError` for files that are damaged, not a state, or of a later version."""
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            words = json.loads((file.metadata() or {}).get(KEY, "null"))
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise MagiError(f"there is no saved take at {path}") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise MagiError(f"{path} is damaged or not a saved take ({error})") from None
    if not isinstance(words, dict):
        raise MagiError(f"{path} is not a saved take: choose a file written by Magi Save State or `state.save`")
    if words.pop("format", None) != FORMAT:
        raise MagiError(f"{path} was saved by a later version: update this one to open it")
    try:
        return _state(words, tensors)
    except (KeyError, TypeError) as error:
        raise MagiError(f"{path} is damaged: {error!r} is missing or wrong") from None


PLAIN = ("width", "height", "fps", "seed", "channels", "fingerprint", "total_chunks", "notes")


def _words(value: ChunkRecord | InFlight, *tensors: str) -> dict[str, Any]:
    return {name: field for name, field in vars(value).items() if name not in tensors}


def _frontier_words(frontier: Frontier) -> dict[str, Any]:
    return vars(frontier) | {"chunks": [_words(chunk, "latent", "text") for chunk in frontier.chunks]}


def _state(words: dict[str, Any], tensors: dict[str, Tensor]) -> SamplerState:
    settings = {name: tuple(v) if isinstance(v, list) else v for name, v in words["settings"].items()}
    guidance = Guidance(**{name: tuple(values) for name, values in settings.pop("guidance").items()})
    frontier = words["frontier"]
    if frontier is not None:
        chunks = tuple(
            InFlight(
                **_with_ranges(chunk),
                latent=tensors[f"in_flight.{chunk['chunk']}"],
                text=tensors[f"text.{chunk['chunk']}"],
            )
            for chunk in frontier["chunks"]
        )
        frontier = Frontier(**frontier | {"chunks": chunks})
    return SamplerState(
        **{name: words[name] for name in PLAIN} | {"notes": tuple(words["notes"])},
        settings=SamplingSettings(**settings, guidance=guidance),
        prefix=tensors.get("prefix"),
        chunks=tuple(ChunkRecord(**_with_ranges(c), latent=tensors[f"chunk.{c['index']}"]) for c in words["chunks"]),
        frontier=frontier,
    )


def _with_ranges(words: dict[str, Any]) -> dict[str, Any]:
    """JSON has no tuples. Takes saved before chunks had ranges of their own say nothing about them."""
    ranges = words.get("kv_ranges")
    return words | {"kv_ranges": None if ranges is None else tuple(ranges)}
