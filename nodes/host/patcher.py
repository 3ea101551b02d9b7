"""A model in ComfyUI's hands: it places the weights, and makes room before the model works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management as management
import comfy.model_patcher
import torch
from comfy.patcher_extension import CallbacksMP
from comfy.utils import set_attr_param
from torch import nn

from magi_core.operations.fp8 import Fp8Linear

from .device import Devices

UNCOUNTED = 0.05  # of a model at most: what modules with layers inside hold themselves
Patcher = Any  # comfy.model_patcher.ModelPatcher, or the dynamic one that takes its place on some GPUs


@contextmanager
def weights_that_move() -> Iterator[None]:
    """Decorates what loads weights. ComfyUI runs nodes in inference mode, but moves weights between prompts, outside
    it: one made in inference mode is unusable after that ("Inference tensors do not track version counter")."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def in_patcher(model: nn.Module, devices: Devices) -> Patcher:
    """`model`, whose weights are on the offload device, as something ComfyUI loads, offloads and patches."""
    management.archive_model_dtypes(model)
    patcher = comfy.model_patcher.CoreModelPatcher(model, load_device=devices.load, offload_device=devices.offload)
    patcher.add_callback(CallbacksMP.ON_DETACH, _leave_nothing)
    return patcher


def make_room(patcher: Patcher, activations: int, allowed: int | None = None) -> None:
    """Have the model ready to work, with room for `activations` bytes beside its weights.

    allowed: bytes for both; ComfyUI leaves the weights that find no room where they wait, and fetches them layer by
    layer. It is told so by asking it to keep free what is beyond.
    """
    least = None
    if allowed is not None:
        free = management.get_free_memory(patcher.load_device) + patcher.loaded_size()
        beyond = free - max(allowed - activations, 0) - management.extra_reserved_memory()
        least = max(activations, beyond)
    management.load_models_gpu([patcher], memory_required=activations, minimum_memory_required=least)


def keep_room(patcher: Patcher, activations: int, allowed: int | None = None) -> None:
    """`make_room`, for a run, which asks again and again until `forget_room`: what was made ready is left alone where
    no other model was loaded since, or where there is room all the same."""
    asked = activations, allowed
    stands = getattr(patcher, "magi_room", None) == asked and _is_newest(patcher)
    if not stands and (allowed is not None or not _has_room(patcher, activations)):
        make_room(patcher, activations, allowed)
    patcher.magi_room = asked


def forget_room(patcher: Patcher) -> None:
    """A run is over: memory may be taken by whom ComfyUI does not know before the next one asks."""
    patcher.magi_room = None


def have_room(patcher: Patcher, activations: int) -> None:
    """`make_room`, where there is none: ComfyUI goes through all weights every time."""
    if not _has_room(patcher, activations):
        make_room(patcher, activations)


def _has_room(patcher: Patcher, activations: int) -> bool:
    """Whether the model is loaded as it is, all of it is in its place, and so much is free.

    One that was loaded in part is loaded again, also where dynamic loading fetches the rest by itself: nothing else has
    ComfyUI keep what it fetches. So is a patched one, for what ComfyUI keeps of patches goes after every node, and one
    whose patched clone was used: where that is gone, ComfyUI says of this one that it is loaded, patches and all.
    """
    device, wanted = patcher.load_device, getattr(patcher, "patches_uuid", None)
    if device.type == "cpu" or patcher not in management.loaded_models() or patcher.patches:
        return False
    if wanted is None or getattr(patcher.model, "current_weight_patches_uuid", None) != wanted:
        return False
    missing = patcher.model_size() - patcher.loaded_size()
    if missing > UNCOUNTED * patcher.model_size():
        return False
    need = max(activations + management.extra_reserved_memory(), management.minimum_inference_memory())
    return management.get_free_memory(device) >= need + max(0, missing)


def _is_newest(patcher: Patcher) -> bool:
    loaded = management.loaded_models()
    return bool(loaded) and loaded[0] is patcher


def _leave_nothing(patcher: Patcher, unpatch_all: bool) -> None:
    """Weights that a module with layers inside holds itself are moved by dynamic loading, but not back. What layers
    have made of their scales goes as well."""
    for module in patcher.model.modules():
        if isinstance(module, Fp8Linear):
            module.forget_scales()
    if unpatch_all and patcher.load_device != patcher.offload_device:
        named = list(patcher.model.named_parameters(remove_duplicate=False))
        left = {p: p.to(patcher.offload_device) for _, p in named if p.device == patcher.load_device}
        for name, parameter in named:
            if parameter in left:  # replaced: one made in inference mode cannot be changed later
                set_attr_param(patcher.model, name, left[parameter])
