"""Chunks as short videos in ComfyUI's folder of temporary files, by what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
    frames = _frames_of(state, index)
    return f"magi_{digest('clip', state.chunk_key(index), vae.identity, state.fps, frames)[:32]}.mp4"


def _frames_of(state: SamplerState, index: int) -> tuple[int, int]:
    """Which of a chunk's frames are in the video: the first, and the one after the last."""
    before = index * VIDEO_FRAMES_PER_CHUNK
    return max(0, state.filled - before), min(VIDEO_FRAMES_PER_CHUNK, state.filled + state.frames - before)


def clip_path(name: str) -> Path:
    return Path(folder_paths.get_temp_directory()) / name


def has_clip(name: str) -> bool:
    return os.path.isfile(clip_path(name))  # no error where it may not look


class Stopped(Exception):
    """The user interrupts: there is no clip of this chunk."""


def make_clip(state: SamplerState, index: int, vae: PlacedVAE, on_middle: Callable[[Tensor], None]) -> str:
    """Decode a chunk into its clip and give its name; a frame from its middle, uint8 [H, W, 3], goes to `on_middle` as
    soon as it is decoded.

    Raises `Stopped`, and what the VAE and the encoder raise; no file is left then.
    """
    name, (first, stop) = clip_name(state, index, vae), _frames_of(state, index)

    def watched(blocks: Iterator[Tensor]) -> Iterator[Tensor]:
        left = (stop - first - 1) // 2  # of the two in the middle the first: it is in the first block that is decoded
        for block in blocks:
            if management.processing_interrupted():
                raise Stopped
            if 0 <= left < len(block):
                on_middle(block[left])
            left -= len(block)
            yield block

    with vae.working(VIDEO_FRAMES_PER_CHUNK, state.width, state.height) as codec:
        blocks = TakeDecoder(codec).decode(state, start=index, stop=index + 1)
        write_video(clip_path(name), watched(blocks), state.fps, quick=True)
    return name


def has_room(vae: PlacedVAE, shape: tuple[int, ...]) -> bool:
    """Whether the VAE can work beside a transformer that must stay where it is: a run is going on."""
    if vae.device.type == "cpu":
        return True
    need = vae.model_size() + vae.memory_used_decode(shape, vae.vae_dtype)
    return management.get_free_memory(vae.device) > 1.2 * need + management.minimum_inference_memory()
