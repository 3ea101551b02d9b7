"""Whole rollouts through `Engine.begin` and `extend`; only noise, text embeddings and prefix latents are given."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import magi_core
from magi_core.config import CHUNK_FRAMES
from magi_core.engine import Engine
from tools.parity.golden import ROLLOUT_TOLERANCE, cases, golden_dir, golden_dit
from tools.parity.rollout import (
    begin,
    captions,
    golden_engine,
    is_distilled,
    rollout_error,
    rollout_settings,
    standin_tokens,
)


@pytest.mark.parametrize("case", cases("rollout"), ids=repr)
def test_rollout(case, compared):
    engine = Engine(golden_dit(case.meta["weights"], is_distilled(case)), special_tokens=standin_tokens())
    error = rollout_error(case, engine)
    compared("rollout", case.name, error)
    assert error < ROLLOUT_TOLERANCE


@pytest.fixture(scope="module")
def official_folders(tmp_path_factory):
    """The goldens' weights as official checkpoints: sharded with an index, special tokens beside them."""
    root = tmp_path_factory.mktemp("ckpt")
    (tokens,) = [case for case in cases("special_tokens") if "cases" not in case.meta]
    for name in {case.meta["weights"] for case in cases("rollout")}:
        tensors = load_file(golden_dir() / f"{name}.safetensors")
        for variant in ("inference_weight", "inference_weight.distill"):
            folder = root / name / variant
            folder.mkdir(parents=True)
            np.savez(root / name / "special_tokens.npz", **{n: t.numpy() for n, t in tokens.tensors().items()})
            names, index = sorted(tensors), {}
            for shard in range(3):
                file = f"model-{shard + 1:05d}-of-00003.safetensors"
                part = {n: tensors[n] for n in names[shard::3]}
                save_file(part, folder / file)
                index |= dict.fromkeys(part, file)
            (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return root


@pytest.mark.parametrize("case", cases("rollout"), ids=repr)
def test_rollout_of_an_official_checkpoint(case, official_folders):
    variant = "inference_weight.distill" if is_distilled(case) else "inference_weight"
    engine = magi_core.load(official_folders / case.meta["weights"] / variant, device="cpu", dtype="fp32")
    assert rollout_error(case, engine) < ROLLOUT_TOLERANCE


@pytest.mark.parametrize("case", [c for c in cases("rollout") if c.meta["prefix_len"] % CHUNK_FRAMES], ids=repr)
def test_given_frames_stay_as_given_without_the_quirk(case):
    engine = Engine(golden_dit(case.meta["weights"], is_distilled(case)), special_tokens=standin_tokens())
    engine = golden_engine(case, engine).with_settings(reference_quirks=False)
    state = engine.extend(begin(case, engine, 9), captions(case.meta, case.tensors(), 1)[0], 1)
    assert torch.equal(state.latents[:, :, : case.meta["prefix_len"]], case.tensors()["prefix_video"])


def test_a_rollout_with_negative_tokens_has_them_in_its_null_text():
    """`NEG_PROMPT` in a rollout's environment: four tokens in front of the learned null text, cut to 50 in all."""
    case = cases("rollout")[0]
    asked = replace(case, meta=case.meta | {"env": case.meta["env"] | {"NEG_PROMPT": 1}})
    engine = Engine(golden_dit(case.meta["weights"], is_distilled(case)), special_tokens=standin_tokens())
    null, learned = engine.texts.null(rollout_settings(asked.meta)).tokens, engine.texts.null_embedding
    tokens = [engine.special_tokens.get(name) for name in ("BORDERNESS", "TRANS", "LOGO", "CAPTION")]
    assert torch.equal(null, torch.cat([torch.stack(tokens), learned])[:50])
    assert rollout_settings(case.meta).negative_tokens == ()
    assert rollout_error(asked, engine) > ROLLOUT_TOLERANCE, "they reach the forwards"
