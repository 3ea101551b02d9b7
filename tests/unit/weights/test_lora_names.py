"""Every name a LoRA may use leads to the weight it means."""

from __future__ import annotations

import pytest

from magi_core.config import DiTConfig
from magi_core.dit import DiT
from magi_core.weights import lora_targets

LAYER = "videodit_blocks.layers.1"
SHAPES = {
    name: tuple(tensor.shape)
    for name, tensor in DiT(DiTConfig(2, 64, 96, 4, 2, 16, caption_channels=16), device="meta").state_dict().items()
}
TARGETS = lora_targets(SHAPES)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        (f"{LAYER}.self_attention.linear_qkv.q", f"{LAYER}.self_attention.linear_qkv.q.weight"),
        ("blocks.1.attn1.to_q", f"{LAYER}.self_attention.linear_qkv.q.weight"),
        ("blocks.1.attn2.to_q", f"{LAYER}.self_attention.linear_qkv.qx.weight"),
        ("blocks.1.attn_proj", f"{LAYER}.self_attention.linear_proj.weight"),
        ("blocks.1.ffn.net.0.proj", f"{LAYER}.mlp.linear_fc1.weight"),
        ("blocks.1.ffn.net.2", f"{LAYER}.mlp.linear_fc2.weight"),
        ("condition_embedder.time_embedder.linear_2", "t_embedder.mlp.2.weight"),
        ("patch_embedding", "x_embedder.weight"),
        ("proj_out", "final_linear.linear.weight"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "transformer.", "base_model.model.", "lora_unet_"])
def test_magi_and_diffusers_names_behind_every_prefix(name: str, parameter: str, prefix: str) -> None:
    written = prefix + (name.replace(".", "_") if prefix.endswith("_") else name)
    assert TARGETS[written] == parameter


def test_the_text_projection_is_one_weight_in_magi_and_two_in_diffusers() -> None:
    parameter = f"{LAYER}.self_attention.linear_kv_xattn.weight"
    rows = SHAPES[parameter][0]
    assert TARGETS[parameter.removesuffix(".weight")] == parameter
    assert TARGETS["blocks.1.attn2.to_k"] == (parameter, (0, 0, rows // 2))
    assert TARGETS["blocks.1.attn2.to_v"] == (parameter, (0, rows // 2, rows // 2))


def test_every_weight_has_a_name_and_no_name_means_two() -> None:
    reached = {target if isinstance(target, str) else target[0] for target in TARGETS.values()}
    assert reached == {name for name in SHAPES if name.endswith(".weight")}
    dotted = [name for name in TARGETS if name.startswith("blocks.0.")]
    assert len({TARGETS[name] for name in dotted}) == len(dotted)
