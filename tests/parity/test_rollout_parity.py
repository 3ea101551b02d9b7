"""Whole rollouts through `Engine.begin` and `Engine.extend`; only noise, text embeddings and prefix latents are given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from magi_core.config import CHUNK_FRAMES, Guidance, SamplingSettings
from magi_core.engine import Engine
from magi_core.text.conditioning import PromptEmbedding
from magi_core.text.special_tokens import SpecialTokens, load_special_tokens
from tests.parity.golden import ROLLOUT_TOLERANCE, cases, golden_dit, max_error


def rollout_settings(meta) -> SamplingSettings:
    runtime, engine, env = meta["config"]["runtime_config"], meta["config"]["engine_config"], meta["env"]
    return SamplingSettings(
        steps=runtime["num_steps"],
        window=runtime["window_size"],
        kv_ranges=tuple(runtime["noise2clean_kvrange"]),
        clean_kv_range=runtime["clean_chunk_kvrange"],
        clean_t=runtime["clean_t"],
        guidance=Guidance(
            tuple(runtime["cfg_t_range"]), tuple(runtime["prev_chunk_scales"]), tuple(runtime["text_scales"])
        ),
        shortcut=engine["shortcut_mode"],
        special_tokens=("HQ",) if env.get("PAD_HQ") else (),
        duration_tokens=bool(env.get("PAD_DURATION")),
        reference_quirks=True,
    )


def captions(meta, tensors, chunks: int) -> list[PromptEmbedding]:
    """One prompt per new chunk; the last of per-chunk captions holds on."""
    if "caption_embs" in tensors:
        rows = [(tensors["caption_embs"], tensors["caption_mask"])]
    else:
        count = sum(name.startswith("caption_embs_") for name in tensors)
        rows = [(tensors[f"caption_embs_{i}"], tensors[f"caption_mask_{i}"]) for i in range(count)]
    prompts = [
        PromptEmbedding(f"caption {i}", embedding[0, 0][: int(mask.sum())]) for i, (embedding, mask) in enumerate(rows)
    ]
    order = meta["per_chunk_captions"]["assign"] if "per_chunk_captions" in meta else [0] * chunks
    return [prompts[i] for i in order]


@pytest.fixture(scope="module")
def standin_tokens(tmp_path_factory) -> SpecialTokens:
    """The special tokens the rollouts were made with, read as the product reads them."""
    (case,) = [case for case in cases("special_tokens") if "cases" not in case.meta]
    path = tmp_path_factory.mktemp("tokens") / "special_tokens.npz"
    np.savez(path, **{name: tensor.numpy() for name, tensor in case.tensors().items()})
    return load_special_tokens(path)


@pytest.mark.parametrize("case", cases("rollout"), ids=repr)
def test_rollout(case, compared, standin_tokens):
    meta, tensors = case.meta, case.tensors()
    runtime = meta["config"]["runtime_config"]
    noise = tensors["initial_noise"][0]
    engine = Engine(
        golden_dit(meta["weights"], meta["config"]["engine_config"]["distill"]),
        settings=rollout_settings(meta),
        special_tokens=standin_tokens,
        noise=lambda _seed, chunk, _shape: noise[:, chunk * CHUNK_FRAMES : (chunk + 1) * CHUNK_FRAMES],
    )
    whole = meta["prefix_len"] // CHUNK_FRAMES
    state = engine.begin(
        width=runtime["video_size_w"],
        height=runtime["video_size_h"],
        prefix=tensors.get("prefix_video"),
        total_chunks=meta["chunk_num"] - whole,
    )
    assert state.first_chunk == whole
    prompts = captions(meta, tensors, meta["chunk_num"] - whole)
    events: list[SimpleNamespace] = []
    state = engine.extend(
        state,
        prompts,
        len(prompts),
        on_step=lambda e: events.append(SimpleNamespace(chunk=e.chunk, step=e.step, steps=e.steps)),
    )
    assert [record.index - whole for record in state.chunks] == tensors["emitted_idx"].tolist()
    errors = [
        max_error(record.latent[:, -golden.shape[2] :][None], golden)
        for i, record in enumerate(state.chunks)
        for golden in [tensors[f"clean_chunk_{i}"]]
    ]
    compared("rollout", case.name, max(errors))
    assert max(errors) < ROLLOUT_TOLERANCE, errors
    assert len(events) == events[-1].steps == meta["total_forward_step"]


@pytest.mark.parametrize("case", [c for c in cases("rollout") if c.meta["prefix_len"] % CHUNK_FRAMES], ids=repr)
def test_given_frames_stay_as_given_without_the_quirk(case, standin_tokens):
    meta, tensors = case.meta, case.tensors()
    runtime = meta["config"]["runtime_config"]
    noise = tensors["initial_noise"][0]
    settings = rollout_settings(meta).with_changes(reference_quirks=False)
    engine = Engine(
        golden_dit(meta["weights"], meta["config"]["engine_config"]["distill"]),
        settings=settings,
        special_tokens=standin_tokens,
        noise=lambda _seed, chunk, _shape: noise[:, chunk * CHUNK_FRAMES : (chunk + 1) * CHUNK_FRAMES],
    )
    state = engine.begin(
        width=runtime["video_size_w"], height=runtime["video_size_h"], prefix=tensors["prefix_video"], total_chunks=9
    )
    state = engine.extend(state, captions(meta, tensors, 1)[0], 1)
    assert torch.equal(state.latents[:, :, : meta["prefix_len"]], tensors["prefix_video"])
