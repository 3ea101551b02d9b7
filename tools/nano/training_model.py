"""The engine's transformer and the text encoder joined for training: one forward gives the loss of a
batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magi_core.config import DiTConfig
from magi_core.dit import DiT
from magi_core.dit.layers import Read
from magi_core.text.special_tokens import SPECIAL_TOKEN_NAMES
from tools.nano import convolutions
from tools.nano.batches import assemble
from tools.nano.chunk_attention import flex_attend, sdpa_attend

ROPE_BANDS = (1.6, 0.7, 0.3, 0.1)  # the default bands suit large grids
POST_NORM_GAIN, GATE_BIAS, NULL_STD = 0.2, 1.0, 0.5


class SlotDiT(DiT):
    """The engine's transformer with a prompt-dropped flag and a step factor per slot [B, n] instead of per sample."""

    def condition(self, timesteps: Tensor, dropped: Tensor, step_factor: Tensor | None) -> Tensor:
        rows = self.y_embedder.null_caption_embedding[-2:].float()
        flag = self.y_embedder.y_proj_adaln(torch.where(dropped[..., None], rows[1], rows[0]))
        t = self.t_embedder(timesteps, self.dtype)
        return t + flag if step_factor is None else t + self.t_embedder(step_factor, self.dtype) + flag


def make_dit(config: DiTConfig, device: torch.device, dtype: torch.dtype) -> SlotDiT:
    """An initialised transformer; blocks in `dtype`, float32 islands as the engine keeps them."""
    dit = SlotDiT(config, operations=convolutions.LAYERS, device=device, dtype=dtype)
    for name, parameter in dit.named_parameters():
        if name.endswith("rope.bands"):
            count = parameter.numel()
            bands = ROPE_BANDS if count == len(ROPE_BANDS) else ROPE_BANDS[:count]
            parameter.data.copy_(torch.tensor(bands))
        elif "null_caption" in name:
            nn.init.normal_(parameter, std=NULL_STD)
        elif "ada_modulate" in name:
            nn.init.normal_(parameter, std=0.02) if parameter.ndim == 2 else nn.init.constant_(parameter, GATE_BIAS)
        elif name == "final_linear.linear.weight":
            nn.init.zeros_(parameter)
        elif parameter.ndim >= 2:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        elif "post_norm.weight" in name:
            nn.init.constant_(parameter, POST_NORM_GAIN - 1)  # the norm's gain is 1 + weight
        elif name.endswith("layer_norm.weight"):
            nn.init.ones_(parameter)  # ordinary norms; all others add 1
        else:
            nn.init.zeros_(parameter)
    return dit


class SpecialTable(nn.Module):
    """The learned special tokens, [names, C] in the order of `SPECIAL_TOKEN_NAMES`."""

    def __init__(self, channels: int, device: torch.device) -> None:
        super().__init__()
        self.table = nn.Parameter(NULL_STD * torch.randn(len(SPECIAL_TOKEN_NAMES), channels, device=device))


class SlotLoss(nn.Module):
    """Velocity error of a batch. `backend`: "flex" or "sdpa" (see `chunk_attention`)."""

    def __init__(self, dit: SlotDiT, backend: str) -> None:
        super().__init__()
        self.dit, self.backend = dit, backend

    def forward(
        self,
        x: Tensor,
        target: Tensor,
        weight: Tensor,
        t: Tensor,
        dropped: Tensor,
        text: Tensor,
        visible: Tensor,
        frames: Tensor,
        mask: Any,
        focus: Tensor,
        step_factor: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, squared error per slot [B, 6], and the velocity as `x` (both detached); `focus` as the batch has it.

        text: [B * 6, L, C] in front of the projection; visible: [B * 6, L]; mask: from `chunk_attention`; step_factor
        [B, 6]: of distilled models.
        """
        velocity = predict(self.dit, self.backend, x, t, dropped, text, visible, frames, mask, step_factor)
        error = ((velocity - target).square().mean(1) * focus).mean((2, 3)) * weight  # B frames
        slots = t.shape[1]
        per_slot = error.unflatten(1, (slots, -1)).sum(2) / weight.unflatten(1, (slots, -1)).sum(2).clamp(min=1e-6)
        return error.sum() / weight.sum().clamp(min=1e-6), per_slot.detach(), velocity.detach()


class SlotVelocity(nn.Module):
    """`predict` as a module, so that it can be compiled."""

    def __init__(self, dit: SlotDiT, backend: str) -> None:
        super().__init__()
        self.dit, self.backend = dit, backend

    def forward(self, *inputs: Any) -> Tensor:
        return predict(self.dit, self.backend, *inputs)


def predict(
    dit: SlotDiT,
    backend: str,
    x: Tensor,
    t: Tensor,
    dropped: Tensor,
    text: Tensor,
    visible: Tensor,
    frames: Tensor,
    mask: Any,
    step_factor: Tensor | None = None,
) -> Tensor:
    """Velocity of all slots: the engine's forward with training's attention put in. step_factor [B, slots]."""
    slots = t.shape[1]
    groups = dit.config.num_heads // dit.config.num_groups
    tokens = dit.text_tokens(text)
    hidden = visible[:, None, None, :]

    def attend(layer: int, keys: Sequence[Tensor], values: Sequence[Tensor]) -> Read:
        k, v = (torch.cat(list(parts), dim=1).repeat_interleave(groups, dim=2) for parts in (keys, values))
        computed = flex_attend if backend == "flex" else sdpa_attend
        return lambda q, first: computed(q, k, v, mask)

    def cross(layer: int, q: Tensor, first: int, size: int) -> Tensor:
        k, v = dit.videodit_blocks.layers[layer].self_attention.text_keys_values(tokens)
        k, v = (y.repeat_interleave(groups, dim=2).transpose(1, 2) for y in (k, v))
        rows = q.unflatten(1, (slots, -1)).flatten(0, 1).transpose(1, 2)
        out = F.scaled_dot_product_attention(rows, k, v, attn_mask=hidden)
        return out.transpose(1, 2).unflatten(0, (-1, slots)).flatten(1, 2)

    return dit(x, t, cross, frames=frames, attend=attend, dropped=dropped, step_factor=step_factor)


def read_text(
    text_model: nn.Module,
    special: Tensor,
    null_embedding: Tensor,
    ids: Tensor,
    counts: Tensor,
    prefix: Tensor,
    null: Tensor,
) -> tuple[Tensor, Tensor]:
    """Text of all slots [B * 6, L, C] and its visible positions, from token ids."""
    ids, counts = ids.flatten(0, 1), counts.flatten()
    attention = torch.arange(ids.shape[1], device=ids.device)[None] < counts[:, None]
    captions = text_model(input_ids=ids, attention_mask=attention.long()).last_hidden_state
    return assemble(captions, counts, prefix.flatten(0, 1), null.flatten(), special, null_embedding)
