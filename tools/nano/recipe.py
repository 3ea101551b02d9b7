"""Sizes of nano's three networks, in the terms of their official configuration files."""

from __future__ import annotations

from magi_core.config import LATENT_SCALE, DiTConfig

VAE_CONFIG = {
    "video_size": 128,
    "video_length": 12,
    "patch_size": 8,
    "patch_length": 4,
    "in_chans": 3,
    "z_chans": 16,
    "double_z": True,
    "embed_dim": 128,
    "depth": 4,
    "num_heads": 4,
    "mlp_ratio": 4,
    "qkv_bias": True,
    "with_cls_token": True,
    "norm_code": False,
    "ln_in_attn": True,
    "conv_last_layer": True,
    "use_rope": False,
    "use_final_proj": True,
}

DIT_CONFIG = {
    "model_name": "videodit_ardf",
    "num_layers": 8,
    "hidden_size": 256,
    "ffn_hidden_size": 1024,
    "num_attention_heads": 8,
    "num_query_groups": 4,
    "kv_channels": 32,
    "layernorm_epsilon": 1e-6,
    "apply_layernorm_1p": True,
    "x_rescale_factor": 1,
    "half_channel_vae": False,
    "params_dtype": "torch.bfloat16",
    "patch_size": 2,
    "t_patch_size": 1,
    "in_channels": 16,
    "out_channels": 16,
    "cond_hidden_ratio": 0.25,
    "caption_channels": 96,
    "caption_max_length": 64,
    "xattn_cond_hidden_ratio": 1.0,
    "cond_gating_ratio": 1.0,
    "gated_linear_unit": False,
}

T5_CONFIG = {
    "d_model": 96,
    "d_kv": 24,
    "num_heads": 4,
    "d_ff": 256,
    "num_layers": 2,
    "feed_forward_proj": "gated-gelu",
    "dropout_rate": 0.0,
    "is_encoder_decoder": False,
    "use_cache": False,
    "tie_word_embeddings": False,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 64,
    "pad_token_id": 0,
    "eos_token_id": 1,
}

TINY_VAE = VAE_CONFIG | {"embed_dim": 32, "depth": 1, "num_heads": 2}
TINY_DIT = DIT_CONFIG | {
    "num_layers": 2,
    "hidden_size": 64,
    "ffn_hidden_size": 64,
    "num_attention_heads": 8,
    "num_query_groups": 4,
    "kv_channels": 8,
}

LATENT_STD = 1.0 / LATENT_SCALE  # what every latent channel is scaled to before the fixed factor, so that it ends at 1


def dit_config(tiny: bool = False) -> DiTConfig:
    return DiTConfig.from_official_json({"model_config": TINY_DIT if tiny else DIT_CONFIG})
