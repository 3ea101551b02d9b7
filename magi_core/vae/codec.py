"""`VAE`: what the engine and the nodes use. Frames in, scaled latents out, and back as a stream of finished frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from magi_core.config import LATENT_SCALE, VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError, is_out_of_memory
from magi_core.kernels.fast import has_fast_forms
from magi_core.vae import tiling
from magi_core.vae.memory import vae_bytes
from magi_core.vae.model import ViTVAE
from magi_core.vae.tiling import TileSettings

GPU_TOKENS = 16_384  # that go through the model together: more gain nothing


class VAE:
    """A loaded autoencoder with its tile settings. Inputs and results live on the CPU, work happens on `device`.

    scale_factor: latents travel as encoder output times this.
    tile: see `TileSettings`; made smaller for good when memory runs out, which `on_note` is told in a sentence.
    dtype: in which tiles are coded; by default that of the weights.
    tokens: tiles of one shape are coded together, up to as many tokens; by default only on a GPU. Where memory runs out
    they go one by one before they are made smaller.
    identity: names the weights and the scale; "" for one like any other.
    """

    def __init__(
        self,
        model: ViTVAE,
        scale_factor: float = LATENT_SCALE,
        *,
        tile: TileSettings | None = None,
        dtype: torch.dtype | None = None,
        on_note: Callable[[str], None] | None = None,
        tokens: int | None = None,
        identity: str = "",
    ) -> None:
        self.model, self.scale_factor, self.on_note = model, scale_factor, on_note
        self.identity = identity
        self.tile = tile or TileSettings()
        self.dtype = dtype or next(model.parameters()).dtype
        self._tokens = tokens

    @property
    def z_channels(self) -> int:
        """Channels of its latents; must equal `DiTConfig.latent_channels` of the transformer."""
        return self.model.config.z_chans

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def at_once(self) -> int:
        """Tiles of one shape that are coded together, at most."""
        return self.at_once_on(self.device)

    def at_once_on(self, device: torch.device) -> int:
        """`at_once`, if the model were on `device`."""
        tokens = self._tokens if self._tokens is not None else GPU_TOKENS if device.type == "cuda" else 0
        return tiling.tiles_together(self.tile, self.model.config, tokens)

    def decoding_bytes(self, width: int, height: int) -> int:
        """Bytes that decoding one chunk of a size in pixels takes on `device`, beside the weights."""
        how: dict[str, Any] = {
            "frames": VIDEO_FRAMES_PER_CHUNK,
            "itemsize": self.dtype.itemsize,
            "at_once": self.at_once,
        }
        fused = has_fast_forms(self.device) and self.dtype == torch.bfloat16
        return vae_bytes(self.model.config, self.tile, width=width, height=height, fused=fused, **how)

    def check_channels(self, latent_channels: int) -> None:
        """`MagiError` unless this VAE fits a transformer that denoises `latent_channels` channels."""
        if self.z_channels != latent_channels:
            raise MagiError(
                f"this VAE makes latents of {self.z_channels} channels, but the model needs {latent_channels}: "
                "load the VAE that was published with the model"
            )

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Frames `[T, H, W, 3]`, uint8 or float in 0..1, to latents `[1, z, t, h, w]`, float32 on the CPU, scaled.

        One frame makes one latent frame (an image). Otherwise four frames make one; a T that is no multiple of four is
        filled up at the *beginning* with repeats of the first frame: no frame is lost, and a continuation goes on from
        the last one.
        """
        config = self.model.config
        _check_frames(frames, config.patch_size)
        tiling.check_settings(self.tile, config)
        filled = 0 if len(frames) == 1 else -len(frames) % config.patch_length
        video = frames.permute(3, 0, 1, 2)[None]
        return (self._encode_tiles(video, to_signed, filled) * self.scale_factor).cpu()

    def decode(
        self,
        latents: Tensor,
        first_frame: int = 0,
        *,
        start: int | None = None,
        stop: int | None = None,
        reference_quirks: bool = False,
    ) -> Iterator[Tensor]:
        """Scaled latents `[1, z, t, h, w]` to blocks of frames `[n, H, W, 3]`, uint8 on the CPU: 4t frames in all.

        first_frame: absolute index of the first latent frame given. Temporal tiles lie on the absolute grid, so a
        part of a video decodes to the same frames as the whole if it begins with a tile, that is at a multiple of
        three latent frames (as every chunk does).
        start, stop: the absolute latent frames to return, any; a tile that they cut is decoded whole, then cropped.
        Memory is that of one temporal tile, whatever t; a block never depends on later ones.
        reference_quirks: a temporal tile of a single latent frame gives one frame (start, stop: whole tiles only).
        """
        if latents.ndim != 5 or latents.shape[0] != 1:
            raise MagiError(f"latents must have the shape [1, channels, frames, h, w]: {list(latents.shape)}")
        self.check_channels(latents.shape[1])
        end = first_frame + latents.shape[2]
        start, stop = first_frame if start is None else start, end if stop is None else stop
        if not 0 <= first_frame <= start <= stop <= end:
            raise MagiError(f"latent frames {start} to {stop} are not among those given: {first_frame} to {end}")
        tiling.check_settings(self.tile, self.model.config)
        return self._decode_frames(latents, first_frame, start, stop, reference_quirks)

    @torch.no_grad()
    def tiled_encode(self, video: Tensor, *, reference_quirks: bool = False) -> Tensor:
        """`[B, 3, T, H, W]` in [-1, 1] to mean latents `[B, z, t, h, w]`, float32 on `device`, not scaled.

        reference_quirks: accept tiles that do not overlap at whole latents, as the reference does.
        """
        if not reference_quirks:
            tiling.check_settings(self.tile, self.model.config)
        return self._encode_tiles(video, lambda tile: tile)

    @torch.no_grad()
    def tiled_decode(self, latents: Tensor, *, reference_quirks: bool = False) -> Tensor:
        """Latents `[B, z, t, h, w]`, not scaled, to `[B, 3, 4t, 8h, 8w]`, float32 on `device`, not clamped.

        reference_quirks: as in `tiled_encode`, and a temporal tile of a single latent frame gives one frame.
        """
        if not reference_quirks:
            tiling.check_settings(self.tile, self.model.config)
        return torch.cat(list(self._decode_tiles(latents, 0, 0, latents.shape[2], reference_quirks)), dim=2)

    def _encode_tiles(self, video: Tensor, prepare: Callable[[Tensor], Tensor], filled: int = 0) -> Tensor:
        def code(tiles: Tensor) -> Tensor:
            return self.model.encode(prepare(tiles).to(self.dtype))

        while True:
            axes = tiling.encode_axes(self.tile, self.model.config)
            how: dict[str, Any] = {"device": self.device, "chained": True, "at_once": self.at_once, "filled": filled}
            slabs = tiling.slabs(video, axes, code, **how)
            try:
                return torch.cat(list(slabs), dim=2)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._shrink_tiles(video.shape[3], video.shape[4])

    @torch.no_grad()
    def _decode_frames(self, latents: Tensor, first: int, start: int, stop: int, quirks: bool) -> Iterator[Tensor]:
        """On a GPU the next slab is queued before the one before is waited for, so that it never idles meanwhile."""
        leaving: Callable[[], Tensor] | None = None
        for slab in self._decode_tiles(latents / self.scale_factor, first, start, stop, quirks):
            frames = to_frames(slab)
            del slab  # the next one has its room
            if not frames.is_cuda:
                yield frames
                continue
            before, leaving = leaving, from_gpu(frames)
            if before is not None:
                yield before()
        if leaving is not None:
            yield leaving()

    def _decode_tiles(self, latents: Tensor, first: int, start: int, stop: int, quirks: bool) -> Iterator[Tensor]:
        """Decoded slabs `[B, 3, n, H, W]` of the absolute latent frames start to stop; latents begin at `first`."""
        config = self.model.config

        def code(tiles: Tensor) -> Tensor:
            return self.model.decode(tiles.to(self.dtype), quirks)

        while start < stop:
            axes = tiling.decode_axes(self.tile, config)
            stride = axes[0].stride
            wanted = range(start // stride, axes[0].count(stop))
            how: dict[str, Any] = {"device": self.device, "chained": False, "at_once": self.at_once}
            try:
                for slab in tiling.slabs(latents, axes, code, first=first, only=wanted, **how):
                    begin = max(start // stride * stride, first)
                    frames = slice((start - begin) * config.patch_length, (stop - begin) * config.patch_length)
                    yield slab if quirks else slab[:, :, frames]
                    del slab
                    start = (start // stride + 1) * stride
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            if start < stop:
                self._shrink_tiles(latents.shape[3] * config.patch_size, latents.shape[4] * config.patch_size)

    def _shrink_tiles(self, height: int, width: int) -> None:
        """Called outside the exception handler, which would keep the failed attempt's tensors alive."""
        if self.at_once > 1:
            self._tokens = 0
            return
        smaller = tiling.smaller(self.tile, self.model.config, height, width)
        if smaller is None:
            raise MagiError(
                f"not enough memory on {self.device} for the VAE, even in its smallest tiles: close other programs, "
                "or run the VAE on the CPU"
            )
        if self.on_note is not None:
            self.on_note(f"out of memory: the VAE goes on in tiles of {smaller.width} x {smaller.height} pixels")
        self.tile = smaller
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def to_signed(frames: Tensor) -> Tensor:
    """uint8, or float in 0..1, to float32 in [-1, 1]."""
    return frames.float() / 127.5 - 1 if frames.dtype == torch.uint8 else frames.float().clamp(0, 1) * 2 - 1


def to_frames(video: Tensor) -> Tensor:
    """`[1, 3, T, H, W]` in [-1, 1] to `[T, H, W, 3]` uint8, where it lies, rounded to the nearest level."""
    levels = (video[0] * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(1, 2, 3, 0).contiguous()  # on a CPU turning them takes longer than decoding


def from_gpu(x: Tensor) -> Callable[[], Tensor]:
    """Start bringing `x` to main memory; the function waits for it. By way of page-locked memory, which PyTorch keeps:
    ten times as fast as straight."""
    locked = torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x, non_blocking=True)
    there = torch.cuda.current_stream(x.device).record_event()

    def arrived() -> Tensor:
        there.synchronize()
        return locked.clone()

    return arrived


def _check_frames(frames: Tensor, patch: int) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3 or not frames.shape[0]:
        raise MagiError(f"frames must have the shape [count, height, width, 3]: {list(frames.shape)}")
    if frames.dtype != torch.uint8 and not frames.is_floating_point():
        raise MagiError(f"frames must be uint8, or float in 0..1: {frames.dtype}")
    for name, size in (("height", frames.shape[1]), ("width", frames.shape[2])):
        if not size or size % patch:
            below = size // patch * patch
            nearest = f"{below} or {below + patch}" if below else f"{patch}"
            raise MagiError(f"{name} must be a multiple of {patch} for the VAE: {size} -> use {nearest}")
