"""A VAE loads from a folder or a file, or says what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from magi_core.errors import MagiError
from magi_core.vae import load_vae, vae_identity
from tests.unit.vae.small_vae import DDCONFIG, decoded, latents, model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "ViTVAE", "ddconfig": DDCONFIG}))
    save_file(model().bfloat16().state_dict(), tmp_path / "diffusion_pytorch_model.safetensors")
    return tmp_path


def test_loads_a_folder_or_a_file(folder: Path) -> None:
    vae = load_vae(folder, device="cpu", dtype=torch.float32)
    assert (vae.z_channels, vae.device.type, vae.dtype) == (3, "cpu", torch.float32)
    weights = load_vae(folder / "diffusion_pytorch_model.safetensors", device="cpu", dtype=torch.float32)
    z = latents(2)
    assert torch.equal(decoded(vae, z), decoded(weights, z))
    assert torch.equal(vae.model.decoder.proj_in.weight, model().bfloat16().float().decoder.proj_in.weight)


def test_a_vae_is_named_after_its_weights_and_scale_without_loading_it(folder: Path) -> None:
    name = load_vae(folder, device="cpu").identity
    assert len(name) == 16 and vae_identity(folder) == name
    assert load_vae(folder / "diffusion_pytorch_model.safetensors", device="cpu", dtype=torch.float32).identity == name
    (folder / "config.json").write_text(json.dumps({"ddconfig": DDCONFIG, "scale_factor": 0.5}))
    scaled = vae_identity(folder)
    weights = model().bfloat16().state_dict()
    save_file({key: value + 1 for key, value in weights.items()}, folder / "diffusion_pytorch_model.safetensors")
    assert len({name, scaled, vae_identity(folder)}) == 3


def test_bfloat16_weights_code_in_bfloat16(folder: Path) -> None:
    vae = load_vae(folder, device="cpu", dtype=torch.bfloat16)
    z = vae.encode(torch.rand(8, 16, 16, 3))
    assert vae.dtype == torch.bfloat16 and z.dtype == torch.float32
    assert decoded(vae, z).shape == (8, 16, 16, 3)


def test_a_broken_folder_says_what_is_missing(folder: Path) -> None:
    state = model().state_dict()
    state.pop("encoder.norm.bias")
    save_file(state | {"extra": torch.zeros(1)}, folder / "diffusion_pytorch_model.safetensors")
    with pytest.raises(MagiError, match=r"(?s)encoder\.norm\.bias.*extra"):
        load_vae(folder, device="cpu")
    (folder / "config.json").write_text("[]")
    with pytest.raises(MagiError, match="does not describe a VAE"):
        load_vae(folder, device="cpu")
    (folder / "config.json").unlink()
    with pytest.raises(MagiError, match="config.json is missing"):
        load_vae(folder, device="cpu")
    with pytest.raises(MagiError, match="does not exist"):
        load_vae(folder / "nowhere", device="cpu")
