"""A model that was not loaded yet, as its files tell: enough to say what a first run will cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from magi_core.config import SamplingSettings
from magi_core.device import FP8
from magi_core.errors import MagiError
from magi_core.loading import own_size, recommended_settings
from magi_core.text import load_special_tokens
from magi_core.weights import fingerprint, pick_dtype
from magi_core.weights.fingerprint import in_fp8
from magi_core.weights.recognise import choose_variant

from ..host.device import model_devices
from ..host.model_folder import files_of
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
        settings=recommended_settings(files, SamplingSettings.for_model(config)),
        special_tokens=None if special is None else load_special_tokens(special, channels=config.caption_channels),
        size=own_size(files),
        device=str(device),
    )
