"""The video autoencoder against the reference: plain and tiled, encode and decode, official names and shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from magi_core.vae import VAE, TileSettings, VAEConfig, ViTVAE
from tools.parity.golden import Case, cases, golden_dir, max_error

TOLERANCE = 1e-5  # the worst seen is 2e-6; a wrong blend or position costs 1e-2 and more
BFLOAT16_TOLERANCE = 0.015  # relative; the reference's own bfloat16 run is 0.007 away from its float32 one

GOLDEN = cases("vae")
OFFICIAL = Path(__file__).parents[1] / "golden" / "state_dicts" / "vae.json"


def params(key: str, prefix: str) -> list[Any]:
    return [
        pytest.param(golden, case, f"{prefix}{case['case']}_", id=f"{golden.name}-{prefix}{case['case']}")
        for golden in GOLDEN
        for case in golden.meta.get(key, ())
    ]


@pytest.mark.parametrize(("golden", "case", "p"), params("plain_cases", "p") + params("tile_cases", "t"))
@torch.no_grad()
def test_autoencoder(golden: Case, case: dict[str, Any], p: str, compared) -> None:
    vae, tensors = model_of(golden), golden.tensors()
    if p.startswith("p"):
        results = {
            "moments": vae.encode_moments(tensors[p + "video"]),
            "mode": vae.encode(tensors[p + "video"]),
            "recon": vae.decode(tensors[p + "mode"], reference_quirks=True),
            "decoded": vae.decode(tensors[p + "latent"], reference_quirks=True),
        }
    else:
        tiled = VAE(vae, tile=settings_of(case))
        results = {
            "encoded": tiled.tiled_encode(tensors[p + "video"], reference_quirks=True),
            "decoded": tiled.tiled_decode(tensors[p + "latent"], reference_quirks=True),
        }
    errors = {name: max_error(result, tensors[p + name]) for name, result in results.items()}
    compared("vae", f"{golden.name}/{p}", max(errors.values()))
    assert max(errors.values()) <= TOLERANCE, errors


@pytest.mark.parametrize("golden", GOLDEN, ids=repr)
def test_the_flag_changes_only_tiles_of_one_latent_frame(golden: Case) -> None:
    """By default they keep their four frames; all else equals the reference."""
    tensors = golden.tensors()
    for case in golden.meta.get("tile_cases", ()):
        vae, t = VAE(model_of(golden), tile=settings_of(case)), f"t{case['case']}_"
        ours, reference = vae.tiled_decode(tensors[t + "latent"]), tensors[t + "decoded"]
        assert ours.shape[2] == 4 * tensors[t + "latent"].shape[2]
        whole = reference.shape[2] // 4 * 4  # the reference's odd frame comes from a tile of one latent frame
        assert max_error(ours[:, :, :whole], reference[:, :, :whole]) <= TOLERANCE
        assert max_error(vae.tiled_encode(tensors[t + "video"]), tensors[t + "encoded"]) <= TOLERANCE


@pytest.mark.parametrize("golden", GOLDEN, ids=repr)
@torch.no_grad()
def test_bfloat16_stays_near_the_reference_in_bfloat16(golden: Case) -> None:
    vae, tensors = model_of(golden).bfloat16(), golden.tensors()
    mode, decoded = vae.encode(tensors["p0_video"].bfloat16()), vae.decode(tensors["p0_latent"].bfloat16(), True)
    assert mode.dtype == decoded.dtype == torch.bfloat16
    kind = "bf16_" if "bf16_mode" in tensors else "p0_"
    assert relative(mode, tensors[kind + "mode"]) < BFLOAT16_TOLERANCE
    assert relative(decoded, tensors[kind + "decoded"]) < BFLOAT16_TOLERANCE


def test_official_names_and_shapes() -> None:
    official = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    vae = ViTVAE(VAEConfig.from_json(official), device="meta")
    ours = {name: tuple(tensor.shape) for name, tensor in vae.state_dict().items()}
    assert ours == {name: tuple(entry["shape"]) for name, entry in official["params"].items()}
    assert sum(p.numel() for p in vae.parameters()) == official["param_count"]


def model_of(golden: Case) -> ViTVAE:
    vae = ViTVAE(VAEConfig.from_json(golden.meta), device="meta")
    weights = load_file(golden_dir() / f"{golden.meta['weights']}.safetensors")
    vae.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, assign=True)
    return vae.requires_grad_(False)


def settings_of(case: dict[str, Any]) -> TileSettings:
    values = case["kwargs"]
    return TileSettings(
        height=values["tile_sample_min_height"],
        width=values["tile_sample_min_width"],
        frames=values["tile_sample_min_length"],
        spatial_overlap=values["spatial_tile_overlap_factor"],
        temporal_overlap=values["temporal_tile_overlap_factor"],
    )


def relative(ours: Tensor, reference: Tensor) -> float:
    return ((ours.float() - reference.float()).norm() / reference.float().norm()).item()
