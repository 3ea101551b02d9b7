"""Checkpoints: where they are, what they are, and how they are read without copying them into memory."""

from magi_core.device import pick_device, pick_dtype
from magi_core.weights.check import check_state_dict
from magi_core.weights.contents import contents_digest, read_sound
from magi_core.weights.find import (
    Missing,
    ModelFiles,
    find_model,
    find_models,
    holds_transformer,
    holds_vae,
    is_t5_folder,
    is_vae_folder,
)
from magi_core.weights.fingerprint import fingerprint
from magi_core.weights.load import load_dit, read_dit
from magi_core.weights.lora_names import lora_targets
from magi_core.weights.reader import Checkpoint, read_tensors
from magi_core.weights.recognise import recognise, variant_from_name
from magi_core.weights.shards import has_standard_name, is_numbered

__all__ = [
    "Checkpoint",
    "Missing",
    "ModelFiles",
    "check_state_dict",
    "contents_digest",
    "find_model",
    "find_models",
    "fingerprint",
    "has_standard_name",
    "holds_transformer",
    "holds_vae",
    "is_numbered",
    "is_t5_folder",
    "is_vae_folder",
    "load_dit",
    "lora_targets",
    "pick_device",
    "pick_dtype",
    "read_dit",
    "read_sound",
    "read_tensors",
    "recognise",
    "variant_from_name",
]
