"""Chunks as short videos in ComfyUI's folder of temporary files, by what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import comfy.model_management as management
import folder_paths
from torch import Tensor

from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.digest import digest
from magi_core.state import SamplerState
from magi_core.state.decode import TakeDecoder
from magi_core.video import write_video

from ..host.vae import PlacedVAE


def clip_name(state: SamplerState, index: int, vae: PlacedVAE) -> str:
    """Name of the clip of a finished chunk: the same for the same frames."""
    before = index * VIDEO_FRAMES_PER_CHUNK
    frames = max(0, state.filled - before), min(VIDEO_FRAMES_PER_CHUNK, state.filled + state.frames - before)
    return f"magi_{digest('clip', state.chunk_key(index), vae.identity, state.fps, frames)[:32]}.mp4"


def clip_path(name: str) -> Path:
    return Path(folder_paths.get_temp_directory()) / name


def has_clip(name: str) -> bool:
    return os.path.isfile(clip_path(name))  # no error where it may not look


class Stopped(Exception):
    """The user interrupts: there is no clip of this chunk."""


def make_clip(state: SamplerState, index: int, vae: PlacedVAE) -> tuple[str, Tensor | None]:
    """Decode a chunk into its clip; its name, and a frame from its middle uint8 [H, W, 3].

    Raises `Stopped`, and what the VAE and the encoder raise; no file is left then.
    """
    name, middle = clip_name(state, index, vae), None

    def watched(blocks: Iterator[Tensor]) -> Iterator[Tensor]:
        nonlocal middle
        done = 0
        for block in blocks:
            if management.processing_interrupted():
                raise Stopped
            if middle is None or done <= VIDEO_FRAMES_PER_CHUNK // 2:
                middle = block[min(len(block) - 1, max(0, VIDEO_FRAMES_PER_CHUNK // 2 - done))].clone()
            done += len(block)
            yield block

    with vae.working(VIDEO_FRAMES_PER_CHUNK, state.width, state.height) as codec:
        blocks = TakeDecoder(codec).decode(state, start=index, stop=index + 1)
        write_video(clip_path(name), watched(blocks), state.fps)
    return name, middle


def has_room(vae: PlacedVAE, shape: tuple[int, ...]) -> bool:
    """Whether the VAE can work beside a transformer that must stay where it is: a run is going on."""
    if vae.device.type == "cpu":
        return True
    need = vae.model_size() + vae.memory_used_decode(shape, vae.vae_dtype)
    return management.get_free_memory(vae.device) > 1.2 * need + management.minimum_inference_memory()
