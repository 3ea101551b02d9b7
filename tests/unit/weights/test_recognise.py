"""A model's size, format and variant are told from headers and names; other models are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from magi_core.config import DiTConfig
from magi_core.dit import DiT
from magi_core.errors import MagiError
from magi_core.weights import load_dit, read_tensors, recognise, variant_from_name
from magi_core.weights.header import TensorHeader
from tests.unit.weights.checkpoints import GOLDEN, golden_config

PUBLISHED = ("4.5B_base", "24B_base", "4.5B_distill_quant", "24B_distill_quant")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_are_recognised_and_match_the_transformer(name: str) -> None:
    """Names, shapes and runtime dtypes of all four published lists equal the model's, on the meta device."""
    content = json.loads((GOLDEN / f"state_dicts/{name}.json").read_text(encoding="utf-8"))
    params = content["params"]
    headers = {key: TensorHeader(tuple(p["shape"]), getattr(torch, p["dtype"])) for key, p in params.items()}
    config = recognise(headers)
    official = DiTConfig.from_official_json(content["config"])
    assert config == DiTConfig(**{**official.__dict__, "distill": False})
    assert config.fp8 == ("quant" in name)
    built = DiT(config, device="meta", dtype=torch.bfloat16).state_dict()
    assert {name: (list(t.shape), str(t.dtype)) for name, t in built.items()} == {
        name: (p["shape"], f"torch.{p['runtime_dtype']}") for name, p in params.items()
    }


@pytest.mark.parametrize("letter", "ABCD")
def test_golden_models_are_recognised_from_shapes(letter: str) -> None:
    path = GOLDEN / f"weights_{letter}.safetensors"
    assert recognise(read_tensors(path).headers) == golden_config(letter)


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("4.5B_base/inference_weight", "base"),
        ("anything/inference_weight", "base"),
        ("anything/inference_weight.fp8", "base"),
        ("4.5B_distill/inference_weight.distill", "distill"),
        ("x/inference_weight.fp8.distill", "distill"),
        ("inference_weight.fp8.distill/model.safetensors", "distill"),
        ("inference_weight/model.safetensors.index.json", "base"),
        ("24B_distill_quant/weights", "distill"),
        ("24B_base/weights/model.safetensors", "base"),
        ("magi/4.5B_distill.safetensors", "distill"),
        ("magi/magi_4.5B_base_bf16.safetensors.zst", "base"),
        ("4.5B_distill/inference_weight", "base"),
        ("my_distill_experiments/weights", None),
        ("base_or_distill", None),
        ("weights/model.safetensors", None),
        ("database", None),
    ],
)
def test_variant_by_name(name: str, variant: str | None) -> None:
    assert variant_from_name(Path("/models") / name) == variant


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"encoder.cls_token": torch.zeros(1)}, "it is the VAE"),
        ({"encoder.block.0.layer.0.layer_norm.weight": torch.zeros(1)}, "T5 text encoder"),
        ({"blocks.0.attn_proj.weight": torch.zeros(1)}, "early conversion of MAGI-1 to diffusers"),
        ({"condition_embedder.time_embedder.linear_1.weight": torch.zeros(1)}, "other tensors"),
        ({"conv.weight": torch.zeros(1)}, r"other tensors \(conv.weight\)"),
    ],
)
def test_other_models_are_named(tmp_path: Path, tensors: dict[str, torch.Tensor], says: str) -> None:
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(MagiError, match=f"not a MAGI-1 transformer: .*{says}"):
        load_dit(tmp_path, variant="base", device="cpu")
