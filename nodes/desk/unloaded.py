"""What was not loaded yet, as its files tell: enough to say what a first run will cost, and which chunks it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from magi_core.config import SamplingSettings
from magi_core.device import FP8
from magi_core.errors import MagiError
from magi_core.loading import own_size, own_vae, recommended_settings
from magi_core.text import TextEncoder, load_special_tokens
from magi_core.weights import fingerprint, pick_dtype
from magi_core.weights.fingerprint import in_fp8
from magi_core.weights.recognise import choose_variant

from ..host.device import model_devices
from ..host.model_folder import files_of
from ..load_text_encoder import text_encoder_in
from .made import Model


def unloaded_model(inputs: Mapping[str, Any]) -> Model:
    """What Magi Load Model would load; `MagiError` as it raises, where the files cannot be read."""
    names = {name: inputs.get(name, "auto") for name in ("model", "variant", "dtype")}
    if not all(isinstance(name, str) for name in names.values()):
        raise MagiError("choose a model in Magi Load Model")
    files, device = files_of(names["model"], names["variant"]), model_devices().load
    if files.config is None:
        raise MagiError(files.problem)
    variant = files.variant or choose_variant(files.dit, names["variant"])
    config = replace(files.config, distill=variant == "distill")
    special = files.special_tokens
    fp8_rows = names["dtype"] == FP8 and not config.fp8
    name = fingerprint(files.dit)
    return Model(
        config=config,
        dtype=pick_dtype(names["dtype"], device, files.parameters),
        fingerprint=in_fp8(name) if fp8_rows else name,
        fp8_rows=fp8_rows,
        weights_digest="",
        own_vae=own_vae(files),
        settings=recommended_settings(files, SamplingSettings.for_model(config)),
        special_tokens=None if special is None else load_special_tokens(special, channels=config.caption_channels),
        size=own_size(files),
        device=str(device),
    )


@dataclass(frozen=True)
class _Unread:
    """In place of a T5."""

    channels: int
    dtype: torch.dtype
    device: torch.device

    def __call__(self, ids: list[int]) -> torch.Tensor:
        raise RuntimeError("nothing is encoded for a plan")


def unloaded_text_encoder(inputs: Mapping[str, Any]) -> TextEncoder:
    """One that names embeddings as the one that Magi Load Text Encoder would load, and holds no file; `MagiError` as
    that raises."""
    model, dtype = inputs.get("model"), inputs.get("dtype", "auto")
    if not isinstance(model, str) or not isinstance(dtype, str):
        raise MagiError("choose a text encoder in Magi Load Text Encoder")
    found = text_encoder_in(model, dtype)
    states = _Unread(found.channels, found.dtype, found.states.device)
    return TextEncoder(states, found.tokenizer, found.max_length, found.identity)
