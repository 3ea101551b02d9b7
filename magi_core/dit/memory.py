"""How much memory the models need beside their weights: what a host reserves before they run.

Counted is what is alive at the widest points of a forward; attention is assumed not to store its scores, and says what
else it keeps. Checked against measured peaks.
"""

from __future__ import annotations

from dataclasses import dataclass

from magi_core.attention.choose import kept_bytes
from magi_core.attention.sdpa import sdpa
from magi_core.attention.spans import Attention
from magi_core.config import CHUNK_FRAMES, PIXELS_PER_LATENT, DiTConfig, SamplingSettings
from magi_core.device import FP32
from magi_core.dit.pieces import widest_piece
from magi_core.host_memory import aligned
from magi_core.operations.streamed import SLOTS

OF_A_STREAM = 34_000_000  # bytes that cuBLAS keeps for every stream on the GPUs that it gives most
WORKSPACE = 80_000_000  # bytes that libraries keep beside a forward: cuBLAS, cuBLASLt as much, and a little
SMALL = 1 << 16  # bytes of what has no rows, every one of them rounded up by the allocator
FP8 = 1  # bytes
PASSES = 3  # of a model with guidance, at most
BOTH = 4  # rows of both attentions: two queries, and two results of the first


@dataclass(frozen=True)
class SamplingMemory:
    """Bytes on the device. activations: of one forward. pages: K/V of finished chunks, and of those that a draft holds;
    where they are streamed, a few layers of those. text: K/V of prompts. frames: of the VAE, which may decode a chunk
    beside the forwards of the next. kept: pages that no forward reads any more. in_main_memory: of pages that are
    streamed, not on the device."""

    activations: int
    pages: int
    text: int
    frames: int = 0
    kept: int = 0
    in_main_memory: int = 0

    @property
    def total(self) -> int:
        return self.activations + self.pages + self.text + self.frames + self.kept


def sampling_memory(
    config: DiTConfig,
    settings: SamplingSettings,
    *,
    width: int,
    height: int,
    chunks: int,
    itemsize: int,
    fused: bool = False,
    attention: Attention = sdpa,
    pages: int | None = None,
    held: int = 0,
    again: int = 0,
    streamed: bool = False,
    text_tokens: int | None = None,
) -> SamplingMemory:
    """What one run of the sampler takes.

    chunks: length of the video at its end. itemsize: bytes per number in the transformer's blocks.
    fused: whether blocks compute in the fast forms of `magi_core.kernels`. attention: what computes it.
    pages: K/V pages held at the same time, one that is being made included; None: as many as a chunk may look at.
    held: K/V of chunks in flight that a draft keeps within a stage, in pages. again: pages that a guided model has
    under a text's condition, too.
    streamed: whether pages lie in main memory, and on the device layers of those in use.
    text_tokens: of the longest text; None: as many as the model reads.
    """
    size = chunk_tokens(config, width, height)
    page = page_bytes(config, size, itemsize)
    seen = min(chunks, max(settings.kv_ranges, default=chunks))
    past = seen if pages is None else pages  # one being made included
    together = settings.window + int(config.distill)  # with one that is seen twice
    most = config.caption_max_length
    text = most if text_tokens is None else min(text_tokens, most)
    forward = forward_bytes(config, together, size, itemsize, history=past, fused=fused, attention=attention, seen=seen)
    whole = (past + held + again) * page
    return SamplingMemory(
        activations=forward + latent_bytes(config, together * size, held > 0) + (WORKSPACE if fused else 0),
        pages=streamed_bytes(page // config.num_layers, past, min(held, settings.window - 1)) if streamed else whole,
        text=(settings.window + 1) * text * kv_bytes(config, itemsize),
        in_main_memory=whole if streamed else 0,
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


def streamed_bytes(layer: int, past: int, held: int) -> int:
    """Of pages in use that are streamed, by the bytes of a layer of one: what comes, and what leaves as it is made.

    past, held: pages of finished chunks and of held ones, as many as a forward reads.
    """
    return (SLOTS * (past + held) + max(1, held)) * aligned(layer)


def page_tensors(config: DiTConfig, width: int, height: int, itemsize: int) -> list[int]:
    """Bytes of every tensor of a page, at a size in pixels."""
    layer = page_bytes(config, chunk_tokens(config, width, height), itemsize) // config.num_layers
    return [layer] * config.num_layers


def latent_bytes(config: DiTConfig, rows: int, held: bool) -> int:
    """Of chunks in flight: by themselves, joined for a forward, and their velocities under other conditions, or those
    that a draft holds."""
    row = config.latent_channels * config.t_patch_size * config.patch_size**2 * FP32
    others = max(0 if config.distill else PASSES - 1, int(held))
    return rows * row * (2 + others)


def forward_bytes(
    config: DiTConfig,
    chunks: int,
    size: int,
    itemsize: int,
    *,
    history: int = 0,
    fused: bool = False,
    attention: Attention = sdpa,
    seen: int | None = None,
) -> int:
    """Activations of one forward over `chunks` chunks of `size` tokens and as many pages of `history`, at the widest
    point of a block: what all rows take, and what the widest piece takes beside it.

    seen: chunks that one attends to, itself included; None: all.
    """
    kv = 2 * config.num_groups * config.head_dim * itemsize
    rotation = 2 * 3 * config.head_dim // 8 * FP32
    rows, joined, wide = chunks * size, chunks + history, widest_piece(chunks, size)
    everything = rows * (config.hidden_size * itemsize + rotation) + joined * size * kv
    gates = chunks * (2 * config.hidden_size + config.cond_size) * itemsize
    piece = wide * (fused_bytes if fused else plain_bytes)(config, itemsize)
    keys = size * min(joined, joined if seen is None else seen)
    kept = kept_bytes(attention, wide, keys, config.num_heads, config.num_groups, config.head_dim)
    attending = wide * BOTH * config.hidden_size * itemsize + kept
    # keys and values are there twice while they are joined
    return everything + gates + SMALL + max(piece, attending if kept else 0, rows * kv)


def fused_bytes(config: DiTConfig, itemsize: int) -> int:
    """Bytes a row of a piece in the fast forms; fp8 models have blocks that are not quantised, too."""
    hidden, inner = config.hidden_size, config.ffn_hidden_size
    fan = inner * (2 if config.gated else 1)
    attention = hidden * max(4 * itemsize, 2 * itemsize + FP32)  # both attentions, side by side, projected
    mlp = max(hidden * itemsize + fan * itemsize, (fan + (inner if config.gated else 0)) * itemsize)
    quantised = fan * itemsize + inner * FP8
    return max(attention, mlp, quantised if config.fp8 else 0)


def plain_bytes(config: DiTConfig, itemsize: int) -> int:
    """Bytes a row of a piece where norms, gates and quantisation pass through float32."""
    hidden, inner = config.hidden_size, config.ffn_hidden_size
    fan = inner * (2 if config.gated else 1)
    query = hidden * (2 * itemsize + 4 * FP32)  # two queries, and one in float32 while it is rotated
    mixed = hidden * (2 * itemsize + 2 * FP32)  # both attentions side by side, widened, projected
    gated = 5 * hidden * FP32  # update, gate, norm and sum
    mlp = (fan + inner * (2 if config.gated else 1) + hidden) * itemsize
    quantised = (fan + inner) * itemsize + 2 * inner * FP32
    return max(query, mixed, gated, mlp, quantised if config.fp8 else 0)
