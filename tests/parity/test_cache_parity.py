"""K/V pages: forwards that share a cache, and the guidance dispatcher on top of them."""

from __future__ import annotations

import pytest
import torch

from magi_core.attention.sdpa import sdpa
from magi_core.config import Guidance, SamplingSettings
from magi_core.dit import TextAttention, WindowAttention
from magi_core.sampling.forward import ForwardInput, Predictor
from magi_core.sampling.guidance import pass_weights
from magi_core.sampling.window import ForwardPlan, PlannedChunk
from magi_core.text.conditioning import assemble_null
from tools.parity.golden import FORWARD_TOLERANCE, GUIDED_TOLERANCE, cases, golden_dit, max_error

ALL_PASSES = Guidance((0.0,), (2.0,), (3.0,))  # no weight is zero, so that no pass is left out


@pytest.mark.parametrize("case", cases("kv_cache"), ids=repr)
def test_shared_cache(case, compared):
    dit, tensors, size = golden_dit(case.meta["weights"]), case.tensors(), case.meta["chunk_tokens"]
    pages, errors = {}, {}
    for step in case.meta["steps"]:
        part = named(tensors, f"s{step['step']}_")
        kwargs = step["kwargs"]
        first, count, width = kwargs["slice_point"], part["t"].shape[1], kwargs["chunk_width"]
        clean = range(count) if kwargs["extract_prefix_video_feature"] else range(int(kwargs["fwd_extra_1st_chunk"]))
        ranges = [(start // size, stop // size) for start, stop in part["kv_range"].tolist()]
        lowest = min(start for start, _ in ranges[: count - kwargs["distill_nearly_clean_chunk"]])
        history = [pages[i] for i in range(lowest, first)]
        window = WindowAttention(sdpa, [(a - lowest, b - lowest) for a, b in ranges], history, keep=clean)
        texts = [dit.text_context(y[0][m[0].bool()]) for y, m in zip(part["y"], part["mask"], strict=True)]
        with torch.no_grad():
            out = dit(
                part["x"],
                part["t"],
                TextAttention(sdpa, texts),
                frames=first * width + torch.arange(count * width),
                attend=window,
                dropped=step["caption_dropout_mask"][0],
            )
        errors[f"s{step['step']}_out"] = max_error(out, part["out"])
        pages |= {first + position: page for position, page in window.pages.items()}
        if "cache_layer0" in part:
            for index, page in pages.items():
                for layer, stored in enumerate(page.layers):
                    kept = torch.cat(stored.read(), dim=-1)
                    golden = part[f"cache_layer{layer}"][index * size : (index + 1) * size]
                    errors[f"s{step['step']}_chunk{index}_layer{layer}"] = max_error(kept, golden)
    assert sum("layer" in name for name in errors) >= 6
    compared("kv_cache", case.name, max(errors.values()))
    assert max(errors.values()) < FORWARD_TOLERANCE, errors


@pytest.mark.parametrize("case", cases("forward_dispatcher"), ids=repr)
def test_dispatcher(case, compared):
    runtime, engine = case.meta["config"]["runtime_config"], case.meta["config"]["engine_config"]
    distill = runtime["cfg_number"] == 1
    dit, tensors, size = golden_dit(case.meta["weights"], distill), case.tensors(), case.meta["chunk_tokens"]
    null = dit.text_context(assemble_null(dit.y_embedder.null_caption_embedding, None, ()))
    pages, errors = {}, {}
    for one in case.meta["cases"]:
        part = named(tensors, f"c{one['case']}_")
        kwargs, count = one["kwargs"], part["t"].shape[1]
        lead = int(kwargs["fwd_extra_1st_chunk"])
        settings = SamplingSettings(
            steps=kwargs["num_steps"],
            guidance=Guidance(
                tuple(runtime["cfg_t_range"]), tuple(runtime["prev_chunk_scales"]), tuple(runtime["text_scales"])
            ),
            nearly_clean_blend=float(one["env"].get("prev_chunks_scale", 0.7)),
            nearly_clean_threshold=engine["distill_nearly_clean_chunk_threshold"],
        )
        predictor = Predictor(dit, sdpa, settings, null)
        step = predictor.intervals.index(kwargs["distill_interval"])
        planned = [
            PlannedChunk(kwargs["slice_point"] + i, step, (start // size, stop // size), step + 1)
            for i, (start, stop) in enumerate(part["kv_range"].tolist())
        ]
        plan = ForwardPlan(tuple(planned[lead:]), planned[0] if lead else None)
        width = part["x"].shape[2] // count
        inputs = [
            ForwardInput(
                part["x"][0, :, i * width : (i + 1) * width],
                float(part["t"][0, i]),
                dit.text_context(visible(part["y_cond"][0, i], part["mask"][0, i])),
            )
            for i in range(lead, count)
        ]
        fresh = part["x"][0, :, :width] if lead else None
        if fresh is not None:
            pages[plan.fresh.index] = predictor.page(plan.fresh, fresh, pages)
        label = f"c{one['case']}"
        joined = torch.cat(predictor(plan, inputs, pages, fresh), dim=1)[None]
        errors[f"{label}_out"] = max_error(joined, part["out"][:, :, lead * width :])
        if not distill:
            weights = [pass_weights(ALL_PASSES, 0.5)] * (count - lead)
            with torch.no_grad():
                passes = predictor.passes(plan, inputs, pages, weights, fresh)
            for name, velocities in zip(("cond_pre_and_text", "cond_pre", "uncond"), passes, strict=True):
                golden = part[name][:, :, -(count - lead) * width :]
                errors[f"{label}_{name}"] = max_error(torch.cat(list(velocities), dim=1)[None], golden)
        if "cache_layer0" in part:
            for index, page in pages.items():
                for layer, stored in enumerate(page.layers):
                    kept = torch.cat(stored.read(), dim=-1)
                    golden = part[f"cache_layer{layer}"][index * size : (index + 1) * size]
                    errors[f"{label}_chunk{index}_layer{layer}"] = max_error(kept, golden)
    compared("forward_dispatcher", case.name, max(errors.values()))
    assert max(errors.values()) < GUIDED_TOLERANCE, errors


def named(tensors, prefix):
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def visible(tokens, mask):
    return tokens[mask[: len(tokens)].bool()]
