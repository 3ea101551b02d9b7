"""Weights to files and back, in the form `tools.nano.install` takes; every file is moved into place whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from magi_core.vae.config import VAEConfig
from magi_core.vae.model import ViTVAE
from tools.nano import convolutions
from tools.nano.recipe import TINY_VAE
from tools.nano.text_model import load_special_table, save_special_tokens, save_text_model
from tools.nano.training_model import SpecialTable


def stored(name: str, value: Tensor) -> Tensor:
    """A transformer weight as official files hold it: embedders, bands and the last linear in float32, else
    bfloat16."""
    wide = name.startswith(("x_embedder", "t_embedder", "y_embedder", "rope", "final_linear"))
    return value.to("cpu", torch.float32 if wide else torch.bfloat16).contiguous()


def export_dit(out: Path, averages: Mapping[str, Tensor]) -> None:
    """dit.safetensors from averages named "dit.*"."""
    dit = {n[4:]: stored(n[4:], v) for n, v in averages.items() if n.startswith("dit.")}
    save_file(dit, out / "dit.part", metadata={"format": "pt"})
    os.replace(out / "dit.part", out / "dit.safetensors")


def export_raw(out: Path, weights: Mapping[str, Tensor]) -> None:
    """raw.safetensors: the weights that are trained, beside their moving averages in the other files."""
    kept = {name: stored(name.removeprefix("dit."), value) for name, value in weights.items()}
    save_file(kept, out / "raw.part", metadata={"format": "pt"})
    os.replace(out / "raw.part", out / "raw.safetensors")


def export_text(out: Path, tokenizer, text_model: nn.Module, averages: Mapping[str, Tensor]) -> None:
    """t5.safetensors, t5_config.json, tokenizer.json and special_tokens.npz from averages named "t5.*" and
    "special.table"."""
    t5 = {n[3:]: v for n, v in averages.items() if n.startswith("t5.")}
    staging = out / "t5.staging"
    save_text_model(staging, tokenizer, text_model, t5)
    save_special_tokens(out / "tokens.staging.npz", averages["special.table"])
    os.replace(staging / "model.safetensors", out / "t5.safetensors")
    os.replace(staging / "config.json", out / "t5_config.json")
    os.replace(staging / "tokenizer.json", out / "tokenizer.json")
    os.replace(out / "tokens.staging.npz", out / "special_tokens.npz")
    shutil.rmtree(staging)


def rows_by_word(rows: Tensor, words: Mapping[str, int], fresh: Tensor, tokenizer) -> Tensor:
    """The word embeddings `rows` of an earlier vocabulary, by `tokenizer`'s; new words keep `fresh` rows,
    as large as the others."""
    moved = fresh * (rows.std() / fresh.std()).to(fresh)
    for word, index in tokenizer.get_vocab().items():
        if word in words:
            moved[index] = rows[words[word]].to(moved)
    return moved


def load_weights(folder: Path, dit: nn.Module, text_model: nn.Module, special: SpecialTable, tokenizer) -> None:
    """What a run has exported, back into its modules; the vocabulary may have grown since."""
    dit.load_state_dict(dict(load_file(folder / "dit.safetensors")))
    t5 = dict(load_file(folder / "t5.safetensors"))
    words = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    t5["shared.weight"] = rows_by_word(t5["shared.weight"], words, text_model.shared.weight.data, tokenizer)
    text_model.load_state_dict(t5, strict=False)
    special.table.data.copy_(load_special_table(folder / "special_tokens.npz"))


def load_autoencoder(folder: Path | None, device: torch.device) -> ViTVAE:
    """The frozen VAE of a `train_vae` run, float32; None: a tiny untrained one for dry runs."""
    if folder is None:
        torch.manual_seed(1)
        return ViTVAE(VAEConfig.from_json(TINY_VAE), operations=convolutions.LAYERS, device=device, dtype=torch.float32)
    config = VAEConfig.from_json(json.loads((folder / "vae_config.json").read_text()))
    vae = ViTVAE(config, operations=convolutions.LAYERS, device=device, dtype=torch.float32)
    vae.load_state_dict({k: v.float() for k, v in load_file(folder / "vae.safetensors").items()})
    return vae.requires_grad_(False)
