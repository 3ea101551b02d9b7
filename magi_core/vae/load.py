"""From the official VAE folder to a ready `VAE`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from magi_core.config import LATENT_SCALE
from magi_core.digest import digest
from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import read_json
from magi_core.operations import PLAIN, Operations
from magi_core.vae.codec import VAE
from magi_core.vae.config import VAEConfig
from magi_core.vae.model import ViTVAE

if TYPE_CHECKING:
    from magi_core.weights.reader import Checkpoint

CONFIG = "config.json"


def load_vae(
    folder_or_file: str | Path,
    *,
    device: torch.device | str = "auto",
    dtype: torch.dtype | str = "auto",
    compute: torch.device | None = None,
    operations: Operations = PLAIN,
) -> VAE:
    """The VAE in a folder with `config.json` and weights, or of a weight file with `config.json` beside it.

    dtype: "auto" takes bfloat16, as the reference runs it, but float32 for a small model on the CPU. An optional
    `scale_factor` in the config overrides 0.18215. Names and shapes are checked before any tensor is read.
    compute: the device that "auto" chooses for, where it is not the one the weights go to.
    """
    from magi_core.weights import (  # not for training
        check_state_dict,
        pick_device,
        pick_dtype,
        read_sound,
        read_tensors,
    )

    path = Path(folder_or_file)
    if not path.exists():
        raise MagiError(f"{path} does not exist: choose the folder of the VAE, which holds {CONFIG} and its weights")
    values = _read_config(_config_of(path))
    config = VAEConfig.from_json(values)
    tensors = read_tensors(path)
    device = pick_device(device)
    dtype = pick_dtype(dtype, compute or device, sum(header.numel for header in tensors.headers.values()))
    model = ViTVAE(config, operations=operations, device="meta", dtype=dtype)
    expected = {name: tensor.shape for name, tensor in ViTVAE(config, device="meta").state_dict().items()}
    check_state_dict(expected, {name: header.shape for name, header in tensors.headers.items()}, path)
    state, _ = read_sound(tensors, expected, lambda _name, tensor: tensor.to(device, dtype))
    model.load_state_dict(state, assign=True)
    return VAE(model.eval().requires_grad_(False), _scale(values), dtype=dtype, identity=_identity(tensors, values))


def vae_identity(folder_or_file: str | Path) -> str:
    """`VAE.identity` of what `load_vae` would load, in a moment: no weights are read through."""
    from magi_core.weights import read_tensors  # not for training

    path = Path(folder_or_file)
    return _identity(read_tensors(path), _read_config(_config_of(path)))


def _identity(tensors: Checkpoint, values: dict[str, Any]) -> str:
    """16 hex digits: of the weights what their fingerprint is of, and how their latents are scaled."""
    from magi_core.weights import fingerprint

    return digest("vae", fingerprint(tensors), _scale(values))[:16]


def _config_of(path: Path) -> Path:
    return (path if path.is_dir() else path.parent) / CONFIG


def _scale(values: dict[str, Any]) -> float:
    scale = values.get("scale_factor", LATENT_SCALE)
    if not isinstance(scale, int | float) or not 1e-6 <= scale <= 1e6:
        raise MagiError(f"VAE config: scale_factor must be a number such as {LATENT_SCALE}: {echo(scale)}")
    return float(scale)


def _read_config(file: Path) -> dict[str, Any]:
    if not file.exists():
        raise MagiError(f"{file} is missing: it tells how the VAE is built and is downloaded with it")
    try:
        values = read_json(file, "configuration")
    except MagiError as error:
        raise MagiError(f"{file} cannot be read ({error}): download it again") from None
    if not isinstance(values, dict):
        raise MagiError(f"{file} does not describe a VAE: download it again")
    return values
