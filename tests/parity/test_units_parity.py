"""Schedules, rotary embedding, small modules and fp8 linears against recorded values."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from magi_core.config import DiTConfig, Guidance, SamplingSettings
from magi_core.dit.embed import TimestepEmbedder, timestep_features
from magi_core.dit.rope import RotaryEmbedding
from magi_core.kernels.fused import Scale, quantise, rotate
from magi_core.operations import PLAIN
from magi_core.operations.fp8 import Fp8Linear
from magi_core.sampling.guidance import scales
from magi_core.sampling.timesteps import step_intervals, timesteps
from magi_core.sampling.window import plan_page, plan_stage, stages
from tools.parity.golden import FORWARD_TOLERANCE, cases, golden_dit, max_error


@pytest.mark.parametrize("case", cases("schedules"), ids=repr)
class TestSchedules:
    def test_timesteps_are_equal_to_the_last_bit(self, case, compared):
        for row in case.meta["init_t"]:
            expected = torch.tensor(row["t"], dtype=torch.float32)
            assert torch.equal(timesteps(row["num_steps"], row["shortcut_mode"]), expected), row["num_steps"]
        for row in case.meta["init_intervel"]:
            assert list(step_intervals(row["num_steps"], row["shortcut_mode"])) == row["interval"]
        compared("schedules", "init_t, init_intervel", 0.0)

    def test_window_plan(self, case, compared):
        for row in case.meta["generate_sequences"]:
            first, count = row["chunk_offset"], row["chunk_num"] - row["chunk_offset"]
            slots = list(stages(first, count, row["window_size"]))
            assert [s[0].index for s in slots] == row["chunk_start"]
            assert [s[-1].index + 1 for s in slots] == row["chunk_end"]
            assert [s[-1].stage for s in slots] == row["t_start"]
            assert [s[0].stage + 1 for s in slots] == row["t_end"]
        compared("schedules", "generate_sequences", 0.0)

    @pytest.mark.parametrize("table", ["get_cfg_scale", "get_cfg_scale_distinct"])
    def test_guidance_scales(self, case, table, compared):
        data = case.meta[table]
        guidance = Guidance(tuple(data["cfg_t_range"]), tuple(data["prev_chunk_scales"]), tuple(data["text_scales"]))
        rows = data["rows"] + [row for rows in data.get("rows_for_schedules", {}).values() for row in rows]
        for t, previous, text in rows:
            assert scales(guidance, t) == (previous, text), t
        compared("schedules", table, 0.0)

    def test_kv_ranges(self, case, compared):
        for row in case.meta["kv_ranges"]:
            runtime, size = row["runtime"], row["chunk_token_nums"]
            settings = SamplingSettings(
                steps=runtime["num_steps"],
                window=runtime["window_size"],
                kv_ranges=tuple(runtime["noise2clean_kvrange"]),
                clean_kv_range=runtime["clean_chunk_kvrange"],
            )
            for prefix in row.get("prefix", []):
                pages = [plan_page(index, settings) for index in range(prefix["range_num"])]
                assert in_tokens(pages, size) == prefix["kv_range"]
            last = max(step["slice_point"] + len(step["kv_range"]) for step in row["denoising"])
            stage_slots = list(stages(0, last, settings.window))
            for step in row["denoising"]:
                forwards = list(plan_stage(stage_slots[step["stage"]], 0, settings))
                plan = forwards[step["denoise_idx"]]
                together = [*filter(None, [plan.fresh]), *plan.chunks]  # the reference's forward encodes what is fresh
                assert in_tokens(together, size) == step["kv_range"]
                assert [c.step for c in together] == step["denoise_step_of_each_chunk"]
                assert (plan.fresh is not None) == step["fwd_extra_1st_chunk"]
                assert together[0].index == step["slice_point"]
        compared("schedules", "kv_ranges", 0.0)


def in_tokens(chunks, size):
    return [[start * size, stop * size] for start, stop in (chunk.attends for chunk in chunks)]


@pytest.mark.parametrize("case", cases("rope"), ids=repr)
def test_rope(case, compared):
    tensors, errors = case.tensors(), []
    for row in case.meta["cases"]:
        index, (frames, height, width) = row["case"], row["shape"]
        rope = RotaryEmbedding(row["dim"], PLAIN)
        assert row["bands_perturbed"] or max_error(rope.bands.detach(), tensors[f"{index}_bands"]) < 1e-7
        rope.bands.data = tensors[f"{index}_bands"]
        prefix = row["slice"]["prefix_frames"]
        whole = torch.cat(rope(torch.arange(frames), height, width), dim=-1)
        errors.append(max_error(whole.detach(), tensors[f"{index}_embed"]))
        window = torch.cat(rope(torch.arange(prefix, frames), height, width), dim=-1)
        assert len(window) == row["slice"]["rows_kept"]
        errors.append(max_error(window.detach(), tensors[f"{index}_embed"][-len(window) :]))
    sine, cosine = tensors["0_embed"][: tensors["apply_x"].shape[1]].chunk(2, dim=-1)
    errors.append(max_error(rotate(tensors["apply_x"], sine, cosine), tensors["apply_out"]))
    compared("rope", case.name, max(errors))
    assert max(errors) < 2e-5


@pytest.mark.parametrize("case", cases("modules"), ids=repr)
def test_modules(case, compared):
    tensors, dit = case.tensors(), golden_dit(case.meta["weights"])
    block = dit.videodit_blocks.layers[0]
    chunks = tensors["bma_gate"].shape[1]
    order = tensors["bma_condition_map"].t().flatten().argsort(stable=True)

    def by_chunk(x):  # [s, b, h] -> one row [1, S, h] sorted by gate row, equal counts per gate
        return x.transpose(0, 1).flatten(0, 1)[order][None]

    gates = tensors["bma_gate"].flatten(0, 1)[None]
    assert by_chunk(tensors["bma_x"]).shape[1] % (2 * chunks) == 0
    with torch.no_grad():
        actual = {
            "timestep_freq_256": timestep_features(tensors["timestep"]),
            "timestep_emb": dit.t_embedder(tensors["timestep"], torch.float32),
            "caption_xattn": dit.text_tokens(tensors["caption"]),
            "caption_adaln": dit.y_embedder.condition(tensors["caption_dropout_mask"], dit.device)[:, None],
            "ada_out": block.ada_modulate_layer.proj(nn.functional.silu(tensors["ada_in"])),
            "softcap_cap1": torch.tanh(tensors["softcap_in"]),
            "fusedln_out": block.self_attn_post_norm(tensors["fusedln_in"]),
            "silu_and_mul_out": silu_and_mul(tensors["silu_and_mul_in"]),
        }
        gated = block.self_attn_post_norm.added(by_chunk(tensors["bma_residual"]), by_chunk(tensors["bma_x"]), gates)
        # an exponential that differs in its last bit between processors moves the angle 32,000 by 1e-3
        for name in ("timestep_freq_256", "timestep_emb"):
            row_size = tensors["timestep"].clamp(min=1)[:, None]
            actual[name] = tensors[name] + (actual[name] - tensors[name]) / row_size
        errors = {name: max_error(value, tensors[name]) for name, value in actual.items()}
        errors["bma_out"] = max_error(gated, by_chunk(tensors["bma_out"]))
        attention_gate, mlp_gate = block.ada_modulate_layer(tensors["ada_in"])
        gate = torch.tanh(tensors["ada_out"])
        errors["softcapped gates"] = max_error(torch.cat([attention_gate, mlp_gate], dim=-1), gate)
    compared("modules", case.name, max(errors.values()))
    assert max(errors.values()) < FORWARD_TOLERANCE, errors


def silu_and_mul(x):
    """The gated branch of the product's MLP with its linears made identities."""
    from magi_core.dit.layers import MLP

    width = x.shape[-1] // 2
    config = DiTConfig(1, x.shape[-1], width, 1, 1, x.shape[-1], gated=True)
    mlp = MLP(config, PLAIN, False)
    mlp.layer_norm = mlp.linear_fc1 = mlp.linear_fc2 = nn.Identity()
    return mlp(x)


@pytest.mark.parametrize("case", cases("fp8_linear"), ids=repr)
def test_fp8_linear(case, compared):
    tensors, errors = case.tensors(), {}
    for row in case.meta["cases"]:
        prefix = row["name"] + "_"
        part = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        layer = Fp8Linear(row["in_features"], row["out_features"], per_channel="PerChannel" in row["cls"])
        state = {name: part[name] for name in ("weight", "weight_scale", "input_scale", "smooth_scale") if name in part}
        layer.load_state_dict(state)
        scale = Scale.of(part.get("smooth_scale", part["input_scale"]))
        assert torch.equal(quantise(part["x"], scale).view(torch.uint8), part["x_fp8"].view(torch.uint8)), row["name"]
        out = layer(part["x"])
        assert out.dtype == torch.bfloat16
        relative = (out.float() - part["out"].float()).norm() / part["out"].float().norm()
        errors[row["name"]] = relative.item()
    edge = quantise(tensors["div_clamp_edge_x"], Scale.of(tensors["div_clamp_edge_scale"]))
    assert torch.equal(edge.view(torch.uint8), tensors["div_clamp_edge_fp8"].view(torch.uint8))
    compared("fp8_linear", case.name, max(errors.values()))
    assert max(errors.values()) < 1e-3, errors


def test_distilled_models_hear_the_step_size():
    embedder = TimestepEmbedder(DiTConfig(1, 64, 64, 2, 1, 32), nn)
    assert embedder(torch.tensor([4.0, 8.0]), torch.float32).unique(dim=0).shape[0] == 2
