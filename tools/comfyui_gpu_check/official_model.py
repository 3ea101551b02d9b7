"""A model of the official 4.5B shape, distilled, fp8: random weights of 5 GB, its VAE of 1.2 GB, a T5-XXL of 9.5 GB."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import torch

from magi_core.loading import ASSETS
from magi_core.vae import VAEConfig, ViTVAE
from tools.comfyui_gpu_check.wide_model import DONE, save_random, shapes_of, t5_shapes, write_wide_model
from tools.write_random_checkpoint import LISTS, weights_folder, write_checkpoint

LIST = "4.5B_distill_quant"
XXL = {"d_model": 4096, "d_kv": 64, "num_heads": 64, "d_ff": 10240, "vocab_size": 32128, "num_layers": 24}
SHARD = 2_000_000_000  # bytes


def write_official_model(folder: Path, rehearsal: bool = False) -> None:
    """The official layout: `inference_weight.fp8.distill`, `vae`, `t5`, whose tokenizer is nano's. Drawn on the GPU, if
    there is one. A rehearsal's is the wide model's."""
    if rehearsal:
        write_wide_model(folder, "rehearsal")
        return
    started, device = time.monotonic(), "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(0)
    params = json.loads((LISTS / f"{LIST}.json").read_text(encoding="utf-8"))["params"]
    write_checkpoint(params, folder / weights_folder(fp8=True, distill=True), SHARD, device=device)
    _write_vae(folder / "vae", generator)
    _write_t5(folder / "t5", generator)
    (folder / DONE).touch()
    written = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    print(f"{written / 1e9:.1f} GB on {device} in {time.monotonic() - started:.0f} s", flush=True)


def _write_vae(folder: Path, generator: torch.Generator) -> None:
    config = {"_class_name": "ViTVAE"}
    config |= {"ddconfig": json.loads((LISTS / "vae.json").read_text(encoding="utf-8"))["ddconfig"]}
    with torch.device("meta"):
        codec = ViTVAE(VAEConfig.from_json(config))
    save_random(folder / "diffusion_pytorch_model.safetensors", shapes_of(codec), generator)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _write_t5(folder: Path, generator: torch.Generator) -> None:
    own = ASSETS / "nano" / "t5"
    config = json.loads((own / "config.json").read_text(encoding="utf-8")) | XXL
    save_random(folder / "model.safetensors", t5_shapes(config), generator)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shutil.copy(own / "tokenizer.json", folder)
