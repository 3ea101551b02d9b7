"""How much memory the models need beside their weights: what a host reserves before they run.

Upper bounds from counting what is alive at the widest points of a forward; attention is assumed not to store its
scores. Checked against measured peaks.
"""

from __future__ import annotations

from dataclasses import dataclass

from magi_core.config import CHUNK_FRAMES, PIXELS_PER_LATENT, DiTConfig, SamplingSettings
from magi_core.device import FP32

MARGIN = 1.15  # weights that are widened for one product, the allocator's rounding


@dataclass(frozen=True)
class SamplingMemory:
    """Bytes on the device. activations: of one forward. pages: K/V of finished chunks. text: K/V of prompts."""

    activations: int
    pages: int
    text: int

    @property
    def total(self) -> int:
        return self.activations + self.pages + self.text


def sampling_memory(
    config: DiTConfig,
    settings: SamplingSettings,
    *,
    width: int,
    height: int,
    chunks: int,
    itemsize: int,
    page_budget: int = 0,
) -> SamplingMemory:
    """What one run of the sampler takes.

    chunks: length of the video at its end. itemsize: bytes per number in the transformer's blocks.
    page_budget: bytes of pages that the engine keeps on the device where it has them.
    """
    size = chunk_tokens(config, width, height)
    page = page_bytes(config, size, itemsize)
    past = min(chunks, max(settings.kv_ranges, default=chunks))  # itself included, as its page is made
    together = settings.window + int(config.distill)  # with one that is seen twice
    attended = (past + together) * page // config.num_layers  # keys and values of one layer, side by side
    text = config.caption_max_length * kv_bytes(config, itemsize)
    return SamplingMemory(
        activations=forward_bytes(config, together * size, itemsize) + attended,
        pages=max(past * page, min(chunks * page, page_budget)),
        text=(settings.window + 1) * text,
    )


def chunk_tokens(config: DiTConfig, width: int, height: int) -> int:
    """Tokens of one chunk at a size in pixels."""
    side = PIXELS_PER_LATENT * config.patch_size
    return CHUNK_FRAMES // config.t_patch_size * (height // side) * (width // side)


def kv_bytes(config: DiTConfig, itemsize: int) -> int:
    """Keys and values of one token in all layers."""
    return config.num_layers * 2 * config.num_groups * config.head_dim * itemsize


def page_bytes(config: DiTConfig, tokens: int, itemsize: int) -> int:
    return tokens * kv_bytes(config, itemsize)


def forward_bytes(config: DiTConfig, tokens: int, itemsize: int) -> int:
    """Activations of one forward over `tokens` tokens at the widest point of a block."""
    hidden, inner = config.hidden_size, config.ffn_hidden_size
    stream = 3 * hidden * itemsize  # the residual, its norm, the query
    query = hidden * (2 * itemsize + 4 * FP32)  # a query in its own dtype, and in float32 while it is rotated
    keys = 2 * config.num_groups * config.head_dim * itemsize
    mixed = hidden * (5 * itemsize + 3 * FP32)  # both attentions, side by side, widened, projected
    gated = 5 * hidden * FP32  # update, gate, norm and sum in float32
    mlp = inner * itemsize * (4 if config.gated else 2) + hidden * itemsize
    rotation = 2 * 3 * config.head_dim // 8 * FP32
    return int(MARGIN * tokens * (stream + rotation + keys + max(query, mixed, gated, mlp)))
