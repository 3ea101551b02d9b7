"""MAGI's VAE as ComfyUI's VAE: the core encode and decode nodes take it, and ComfyUI places its weights."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import comfy.model_management as management
import comfy.sd
import torch
from torch import Tensor

from magi_core.engine import USUAL_SIZE
from magi_core.errors import MagiError, printable
from magi_core.kernels.fast import has_fast_forms
from magi_core.vae import VAE as Codec
from magi_core.vae.memory import vae_bytes

from .device import Devices
from .patcher import have_room, in_patcher


class PlacedVAE(comfy.sd.VAE):
    """A VAE wire. `codec` is what MAGI's own nodes use, within `working`; the rest is what core nodes use.

    Latents are [B, z, t, h, w] in the VAE's own range: what the engine has, divided by `codec.scale_factor`.
    Everything is coded in the codec's tiles, whatever the node; the sizes that the tiled core nodes ask for only make
    tiles smaller. own_size: width and height of the video model it belongs to. identity: names the weights and their
    precision; without one it is like no other.
    """

    def __init__(
        self, codec: Codec, devices: Devices, own_size: tuple[int, int] = USUAL_SIZE, identity: str = ""
    ) -> None:
        self.own_size, self.identity = own_size, identity or uuid.uuid4().hex
        config = codec.model.config
        self.codec, self.first_stage_model = codec, codec.model
        codec.on_note = _log  # until a node listens
        self.patcher = in_patcher(codec.model, devices)
        self.device, self.vae_dtype, self.working_dtypes = devices.load, codec.dtype, [codec.dtype]
        self.output_device = management.intermediate_device()
        self.latent_channels, self.latent_dim, self.output_channels = config.z_chans, 3, config.in_chans
        length, side = config.patch_length, config.patch_size
        self.downscale_ratio = (lambda frames: -(-frames // length), side, side)
        self.upscale_ratio = (lambda latents: latents * length, side, side)
        self.downscale_index_formula = self.upscale_index_formula = (length, side, side)
        self.process_input = lambda image: image * 2 - 1
        self.process_output = lambda image: image.add_(1).div_(2).clamp_(0, 1)
        self.crop_input, self.not_video, self.disable_offload, self.handles_tiling = True, False, False, True
        self.size = self.extra_1d_channel = self.pad_channel_value = self.format_encoded = None
        self.audio_sample_rate = 44100  # of no use here, but every VAE of ComfyUI has it
        self.model_size()

    # Methods, where ComfyUI has lambdas: one that holds `self` keeps the weights until the garbage collector comes.
    def memory_used_encode(self, shape: tuple[int, ...], dtype: torch.dtype) -> int:
        return self._announced(*shape[-3:])

    def memory_used_decode(self, shape: tuple[int, ...], dtype: torch.dtype) -> int:
        length, side, _ = self.upscale_index_formula
        return self._announced(shape[-3] * length, shape[-2] * side, shape[-1] * side)

    @contextmanager
    def working(self, frames: int, width: int, height: int) -> Iterator[Codec]:
        """The codec with its weights in place and room to code `frames` frames of a size in pixels."""
        have_room(self.patcher, self._announced(frames, height, width))
        yield self.codec

    def encode(self, pixel_samples: Tensor) -> Tensor:
        """Frames [F, H, W, C] in 0..1 to latents [1, z, t, h, w]; sides are cropped to multiples of 8."""
        frames = self.vae_encode_crop_pixels(pixel_samples)
        with self.working(*_size(frames)) as codec:
            return (codec.encode(frames) / codec.scale_factor).to(self.output_device)

    def encode_tiled(
        self, pixel_samples: Tensor, tile_x: int | None = None, tile_y: int | None = None, **_: Any
    ) -> Tensor:
        with self._smaller_tiles(tile_x, tile_y):
            return self.encode(pixel_samples)

    def decode(self, samples_in: Tensor, vae_options: dict[str, Any] | None = None) -> Tensor:
        """Latents [B, z, t, h, w] to frames [B, 4t, 8h, 8w, 3] in 0..1."""
        if samples_in.ndim != 5:
            raise MagiError("these latents are not of a video: decode them with the VAE of the model that made them")
        self.codec.check_channels(samples_in.shape[1])
        batch, _, latents, rows, columns = samples_in.shape
        side, length = self.codec.model.config.patch_size, self.codec.model.config.patch_length
        frames = torch.empty(batch, latents * length, rows * side, columns * side, 3, device=self.output_device)
        with self.working(latents * length, columns * side, rows * side) as codec:
            for video, latent in zip(frames, samples_in, strict=True):
                fill(video, codec.decode(latent[None] * codec.scale_factor))
        return frames

    def decode_tiled(self, samples: Tensor, tile_x: int | None = None, tile_y: int | None = None, **_: Any) -> Tensor:
        side = self.codec.model.config.patch_size
        with self._smaller_tiles(tile_x and tile_x * side, tile_y and tile_y * side):
            return self.decode(samples)

    @contextmanager
    def _smaller_tiles(self, *sides: int | None) -> Iterator[None]:
        """Tiles of at most that many pixels, where they are smaller than the codec's."""
        tile, step = self.codec.tile, 4 * self.codec.model.config.patch_size  # a quarter of it is whole latents
        side = min([tile.width, tile.height, *(side for side in sides if side)])
        if side < min(tile.width, tile.height):
            side = max(step, side // step * step)
            self.codec.tile = replace(tile, width=side, height=side, spatial_overlap=0.25)
        try:
            yield
        finally:
            self.codec.tile = tile

    def _announced(self, frames: int, height: int, width: int) -> int:
        """Bytes for either direction."""
        codec = self.codec
        size = {"width": width, "height": height, "frames": frames, "at_once": codec.at_once_on(self.device)}
        fused = has_fast_forms(self.device) and codec.dtype == torch.bfloat16
        config, tile, itemsize = codec.model.config, codec.tile, codec.dtype.itemsize
        ways = (vae_bytes(config, tile, itemsize=itemsize, fused=fused, encoding=way, **size) for way in (False, True))
        return max(ways)


def fill(frames: Tensor, blocks: Iterable[Tensor], on_frames: Any = None) -> None:
    """Fill `frames` [n, H, W, 3] float in 0..1 with uint8 `blocks`; stops when the user interrupts.

    on_frames: called with the number of frames done so far.
    """
    done = 0
    for block in blocks:
        management.throw_exception_if_processing_interrupted()
        block = block[: len(frames) - done]
        torch.div(block.to(frames.device), 255, out=frames[done : done + len(block)])
        done += len(block)
        if on_frames is not None:
            on_frames(done)


def magi_vae(vae: Any) -> PlacedVAE:
    """`vae`, if it is MAGI's; `MagiError` for any other."""
    if isinstance(vae, PlacedVAE):
        return vae
    raise MagiError("this VAE belongs to another model: connect Magi Load VAE")


def _size(frames: Tensor) -> tuple[int, int, int]:
    """Frames, width, height."""
    return frames.shape[0], frames.shape[2], frames.shape[1]


def _log(note: str) -> None:
    logging.info("MAGI: %s", printable(note))
