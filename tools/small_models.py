"""A small random model with every part, for tests of behaviour that no trained weights are needed for."""

from __future__ import annotations

from functools import cache

import torch

from magi_core.config import DiTConfig, SamplingSettings
from magi_core.dit import DiT
from magi_core.engine import Engine
from magi_core.operations import PLAIN, Operations
from magi_core.text.conditioning import PromptEmbedding
from magi_core.vae import VAE, VAEConfig, ViTVAE

CHANNELS = 16


class WordEncoder:
    """Stands in for T5: one seeded random vector per word."""

    channels = CHANNELS

    def origin(self, prompt: str) -> str:
        return f"words {prompt}"

    def encode(self, prompt: str) -> PromptEmbedding:
        words = prompt.split()
        vectors = [torch.randn(CHANNELS, generator=torch.Generator().manual_seed(sum(map(ord, w)))) for w in words]
        tokens = torch.stack(vectors) if words else torch.zeros(0, CHANNELS)
        return PromptEmbedding(prompt, tokens, origin=self.origin(prompt))


@cache
def tiny_dit(distill: bool = False) -> DiT:
    config = DiTConfig(
        num_layers=2,
        hidden_size=32,
        ffn_hidden_size=48,
        num_heads=4,
        num_groups=2,
        head_dim=8,
        caption_channels=CHANNELS,
        caption_max_length=64,
        distill=distill,
    )
    dit = DiT(config)
    generator = torch.Generator().manual_seed(5)
    for name, parameter in dit.named_parameters():
        if name != "rope.bands":
            parameter.data.normal_(0, 0.2 if parameter.ndim > 1 else 0.1, generator=generator)
    return dit.eval().requires_grad_(False)


def small_config(fp8: bool) -> DiTConfig:
    """Three layers with gated MLPs; fp8: the one in the middle is quantised."""
    return DiTConfig(3, 64, 96, 8, 2, 8, caption_channels=CHANNELS, caption_max_length=20, gated=True, fp8=fp8)


def random_dit(fp8: bool, operations: Operations = PLAIN) -> DiT:
    """Of `small_config`."""
    return with_random_weights(DiT(small_config(fp8), operations=operations))


def with_random_weights(dit: DiT) -> DiT:
    generator = torch.Generator().manual_seed(2)
    for name, parameter in dit.requires_grad_(False).named_parameters():
        if "_scale" in name:
            parameter.fill_(0.05)
        elif "bands" not in name:
            parameter.copy_((0.2 * torch.randn(parameter.shape, generator=generator)).to(parameter.dtype))
    return dit


@cache
def tiny_vae() -> VAE:
    torch.manual_seed(6)
    config = VAEConfig.from_json(
        {
            "video_size": 32,
            "video_length": 12,
            "patch_size": 8,
            "patch_length": 4,
            "in_chans": 3,
            "z_chans": 16,
            "double_z": True,
            "embed_dim": 32,
            "depth": 1,
            "num_heads": 2,
            "mlp_ratio": 2,
            "qkv_bias": True,
            "with_cls_token": True,
            "norm_code": False,
            "ln_in_attn": True,
            "conv_last_layer": True,
            "use_rope": False,
            "use_final_proj": True,
        }
    )
    return VAE(ViTVAE(config).eval().requires_grad_(False))


def tiny_engine(distill: bool = False, **settings) -> Engine:
    defaults = {"steps": 8, "special_tokens": (), "duration_tokens": False}
    return Engine(
        tiny_dit(distill),
        vae=tiny_vae(),
        text_encoder=WordEncoder(),
        settings=SamplingSettings().with_changes(**defaults | settings),
        fingerprint=f"tiny {'distilled' if distill else 'base'}",
    )
