"""Which weight a LoRA file means: MAGI-1's own layer names, and those of the diffusers conversion."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

Target = str | tuple[str, tuple[int, int, int]]
"""A parameter's name, or that with the (axis, start, length) of the part that is meant."""

DOTTED = ("", "diffusion_model.", "transformer.", "model.", "base_model.model.")  # what trainers put in front
UNDERSCORED = ("lora_unet_", "lora_transformer_", "lycoris_")  # the same with every dot as an underscore
LAYER = re.compile(r"videodit_blocks\.layers\.(\d+)\.(.+)")
_DIFFUSERS = {
    "x_embedder": "patch_embedding",
    "t_embedder.mlp.0": "condition_embedder.time_embedder.linear_1",
    "t_embedder.mlp.2": "condition_embedder.time_embedder.linear_2",
    "y_embedder.y_proj_xattn.0": "condition_embedder.text_embedder.y_proj_xattn.0",
    "y_embedder.y_proj_adaln.0": "condition_embedder.text_embedder.y_proj_adaln",
    "videodit_blocks.final_layernorm": "norm_out",
    "final_linear.linear": "proj_out",
}
_DIFFUSERS_LAYER = {
    "self_attention.linear_qkv.layer_norm": "norm1",
    "self_attention.linear_qkv.q": "attn1.to_q",
    "self_attention.linear_qkv.k": "attn1.to_k",
    "self_attention.linear_qkv.v": "attn1.to_v",
    "self_attention.linear_qkv.qx": "attn2.to_q",
    "self_attention.linear_proj": "attn_proj",
    "self_attn_post_norm": "norm2",
    "mlp.layer_norm": "norm3",
    "mlp.linear_fc1": "ffn.net.0.proj",
    "mlp.linear_fc2": "ffn.net.2",
    "mlp_post_norm": "norm4",
    "ada_modulate_layer.proj.0": "ada_modulate_layer.1",
}


def lora_targets(shapes: Mapping[str, Sequence[int]]) -> dict[str, Target]:
    """Every name under which a LoRA may address a layer -> the parameter it changes.

    shapes: parameter name -> shape of the transformer. Source of the diffusers names: the published conversion of
    MAGI-1 to diffusers (`Magi1Transformer3DModel`), which cuts the text K/V projection in two halves of its rows.
    """
    targets: dict[str, Target] = {}
    for parameter, shape in shapes.items():
        if not parameter.endswith(".weight"):
            continue
        layer = parameter.removesuffix(".weight")
        for name, part in ((layer, None), *_in_diffusers(layer, shape)):
            target = parameter if part is None else (parameter, part)
            targets |= {prefix + name: target for prefix in DOTTED}
            targets |= {prefix + name.replace(".", "_"): target for prefix in UNDERSCORED}
    return targets


def _in_diffusers(layer: str, shape: Sequence[int]) -> Iterator[tuple[str, tuple[int, int, int] | None]]:
    if match := LAYER.fullmatch(layer):
        block, name = f"blocks.{match[1]}", match[2]
        if name == "self_attention.linear_kv_xattn":
            half = shape[0] // 2
            yield f"{block}.attn2.to_k", (0, 0, half)
            yield f"{block}.attn2.to_v", (0, half, half)
        elif name in _DIFFUSERS_LAYER:
            yield f"{block}.{_DIFFUSERS_LAYER[name]}", None
    elif layer in _DIFFUSERS:
        yield _DIFFUSERS[layer], None
