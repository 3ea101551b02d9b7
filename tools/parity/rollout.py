"""Whole rollouts of the reference through `Engine.begin` and `extend`: noise, texts and prefix latents are given."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from magi_core.config import CHUNK_FRAMES, Guidance, SamplingSettings
from magi_core.engine import Engine
from magi_core.state import SamplerState
from magi_core.text.conditioning import PromptEmbedding
from magi_core.text.special_tokens import SpecialTokens, load_special_tokens
from tools.parity.golden import Case, cases, max_error

SWITCHES = {
    "PAD_STATIC": "STATIC_FIRST_FRAMES",
    "PAD_DYNAMIC": "DYNAMIC_FIRST_FRAMES",
    "PAD_BORDERNESS": "BORDERNESS",
    "PAD_HQ": "HQ",
    "PAD_THREE_D_MODEL": "THREE_D_MODEL",
    "PAD_TWO_D_ANIME": "TWO_D_ANIME",
}
NEGATIVE = ("CAPTION", "LOGO", "TRANS", "BORDERNESS")  # what NEG_PROMPT puts in front of the null text


def rollout_settings(meta: dict[str, Any]) -> SamplingSettings:
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
        negative_tokens=NEGATIVE if env.get("NEG_PROMPT") else (),
        special_tokens=tuple(name for key, name in SWITCHES.items() if env.get(key)),
        nearly_clean_blend=float(env.get("prev_chunks_scale", 0.7)),
        nearly_clean_threshold=engine["distill_nearly_clean_chunk_threshold"],
        duration_tokens=bool(env.get("PAD_DURATION")),
        reference_quirks=True,
    )


def captions(meta: dict[str, Any], tensors: dict[str, Tensor], chunks: int) -> list[PromptEmbedding]:
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


def golden_engine(case: Case, engine: Engine) -> Engine:
    """`engine` with the case's settings and its recorded noise."""
    noise = case.tensors()["initial_noise"][0]

    def recorded(_seed: int, chunk: int, _shape: tuple[int, ...]) -> Tensor:
        return noise[:, chunk * CHUNK_FRAMES : (chunk + 1) * CHUNK_FRAMES]

    return engine.copy(settings=rollout_settings(case.meta), noise=recorded)


def begin(case: Case, engine: Engine, total_chunks: int | None) -> SamplerState:
    runtime = case.meta["config"]["runtime_config"]
    return engine.begin(
        width=runtime["video_size_w"],
        height=runtime["video_size_h"],
        prefix=case.tensors().get("prefix_video"),
        total_chunks=total_chunks,
    )


def is_distilled(case: Case) -> bool:
    return case.meta["config"]["engine_config"]["distill"]


def rollout_error(case: Case, engine: Engine) -> float:
    """Worst difference of any emitted chunk; also checks order, count and the number of forwards."""
    meta, tensors = case.meta, case.tensors()
    engine = golden_engine(case, engine)
    whole = meta["prefix_len"] // CHUNK_FRAMES
    chunks = meta["chunk_num"] - whole
    state, steps = begin(case, engine, chunks), []
    assert state.first_chunk == whole
    prompts = captions(meta, tensors, chunks)
    state = engine.extend(state, prompts, chunks, on_step=lambda event: steps.append(event.steps))
    assert [record.index - whole for record in state.chunks] == tensors["emitted_idx"].tolist()
    assert len(steps) == steps[-1] == meta["total_forward_step"]
    goldens = [tensors[f"clean_chunk_{i}"] for i in range(chunks)]
    return max(
        max_error(record.latent[:, -golden.shape[2] :][None], golden)
        for record, golden in zip(state.chunks, goldens, strict=True)
    )


def standin_tokens() -> SpecialTokens:
    """The special tokens the rollouts were made with, read as the product reads them."""
    (case,) = [case for case in cases("special_tokens") if "cases" not in case.meta]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "special_tokens.npz"
        np.savez(path, **{name: tensor.numpy() for name, tensor in case.tensors().items()})
        return load_special_tokens(path)
