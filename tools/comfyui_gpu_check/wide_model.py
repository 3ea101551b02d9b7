"""A model of nano's kind with more of everything: random weights of some gigabytes, so that what stays in memory shows.

Its text encoder knows nano's words, its VAE has nano's latents; what it makes means nothing.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from magi_core.config import DiTConfig
from magi_core.dit import DiT
from magi_core.loading import ASSETS
from magi_core.vae import VAEConfig, ViTVAE

GAIN = re.compile(r"\.(final_)?(layer_)?norm\d?\.weight$")  # others add one to what is stored
DONE = "done"  # a file that is there when all others are whole


class Size(NamedTuple):
    """Layers and width of the transformer, and the width of the text encoder and the VAE, which have fewer layers."""

    layers: int
    width: int
    side: int
    side_layers: int


SIZES = {"gigabytes": Size(16, 2048, 1024, 8), "rehearsal": Size(2, 256, 128, 1)}


def write_wide_model(folder: Path, size: str = "gigabytes") -> None:
    """The official layout: `inference_weight`, `vae`, `t5`."""
    layers, width, side, side_layers = SIZES[size]
    generator = torch.Generator().manual_seed(0)
    config = DiTConfig(layers, width, 4 * width, width // 64, width // 128, 64, side, 64)
    save_random(folder / "inference_weight" / "model.safetensors", shapes_of(DiT(config, device="meta")), generator)

    vae = json.loads((ASSETS / "nano" / "vae" / "config.json").read_text(encoding="utf-8"))
    vae["ddconfig"] |= {"embed_dim": side, "depth": side_layers, "num_heads": side // 64}
    with torch.device("meta"):
        codec = ViTVAE(VAEConfig.from_json(vae))
    save_random(folder / "vae" / "diffusion_pytorch_model.safetensors", shapes_of(codec), generator)
    (folder / "vae" / "config.json").write_text(json.dumps(vae), encoding="utf-8")

    t5 = json.loads((ASSETS / "nano" / "t5" / "config.json").read_text(encoding="utf-8"))
    t5 |= {"d_model": side, "d_kv": 64, "num_heads": side // 64, "d_ff": 4 * side, "num_layers": side_layers}
    save_random(folder / "t5" / "model.safetensors", t5_shapes(t5), generator)
    (folder / "t5" / "config.json").write_text(json.dumps(t5), encoding="utf-8")
    shutil.copy(ASSETS / "nano" / "t5" / "tokenizer.json", folder / "t5")
    (folder / DONE).touch()


def write_lora(file: Path, size: str = "gigabytes") -> None:
    """A LoRA that changes a linear layer in every block of the wide model."""
    generator, tensors = torch.Generator().manual_seed(1), {}
    layers, width, _, _ = SIZES[size]
    for layer in range(layers):
        name = f"diffusion_model.videodit_blocks.layers.{layer}.self_attention.linear_qkv.q"
        tensors[f"{name}.lora_A.weight"] = torch.randn(8, width, generator=generator) * width**-0.5
        tensors[f"{name}.lora_B.weight"] = torch.randn(width, 8, generator=generator)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)


def t5_shapes(config: dict[str, Any]) -> dict[str, torch.Size]:
    """Of the weights of an encoder with this config.json."""
    from transformers import T5Config, T5EncoderModel

    with torch.device("meta"):
        return shapes_of(T5EncoderModel(T5Config(**config)))


def shapes_of(model: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items() if "embed_tokens" not in name}


def save_random(file: Path, shapes: dict[str, torch.Size], generator: torch.Generator) -> None:
    """Weights of these shapes, bfloat16 where they are no vectors, drawn where the generator is."""
    file.parent.mkdir(parents=True)
    save_file({name: _tensor(name, shape, generator) for name, shape in shapes.items()}, file)


def _tensor(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Weights of about unit gain, rotary bands as initialised, norms near identity."""
    if name == "rope.bands":
        return 10000.0 ** (-torch.arange(shape[0]) / shape[0])
    if len(shape) == 1:
        return torch.full(shape, 1.0 if GAIN.search(name) else 0.0)
    values = torch.empty(shape, dtype=torch.bfloat16, device=generator.device)
    return values.normal_(0, math.prod(shape[1:]) ** -0.5, generator=generator).cpu()
