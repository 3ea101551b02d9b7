"""Stand-in for `comfy.model_management`: everything is on the CPU; tests raise the interrupt flag themselves.

`loads` lists the models that were asked for, with the bytes announced.
"""

from types import SimpleNamespace
from typing import Any

import torch

interrupted = False
OOM_EXCEPTION = torch.OutOfMemoryError
args = SimpleNamespace(use_quad_cross_attention=False)
loads: list[tuple[Any, int]] = []
_loaded: list[Any] = []


class InterruptProcessingException(BaseException):  # noqa: N818
    pass


def get_torch_device() -> torch.device:
    return torch.device("cpu")


vae_device = text_encoder_device = get_torch_device
unet_offload_device = vae_offload_device = text_encoder_offload_device = intermediate_device = get_torch_device


def archive_model_dtypes(model: torch.nn.Module) -> None: ...


def load_models_gpu(models: list[Any], memory_required: int = 0, minimum_memory_required: int | None = None) -> None:
    """As in ComfyUI, weights get what is free less the minimum."""
    loads.extend((model, memory_required) for model in models)
    for model in models:
        least = memory_required if minimum_memory_required is None else minimum_memory_required
        if hasattr(model, "model"):
            model.model.current_weight_patches_uuid = model.patches_uuid
        model.weights_get = get_free_memory(model.load_device) - least - extra_reserved_memory()
    _loaded[:] = [*reversed(models), *(model for model in _loaded if all(model is not other for other in models))]


def loaded_models() -> list[Any]:
    """The latest first."""
    return list(_loaded)


def get_total_memory(device: torch.device) -> int:
    return 24_000_000_000


def get_free_memory(device: torch.device) -> int:
    return 20_000_000_000


def extra_reserved_memory() -> int:
    return 400_000_000


def minimum_inference_memory() -> int:
    return 800_000_000 + extra_reserved_memory()


def unload_all_models() -> None:
    loads.clear()
    _loaded.clear()


def cast_to(weight: torch.Tensor, dtype: torch.dtype | None = None, device: torch.device | None = None) -> torch.Tensor:
    return weight.to(device, dtype)


def soft_empty_cache() -> None: ...


def processing_interrupted() -> bool:
    return interrupted


def throw_exception_if_processing_interrupted() -> None:
    global interrupted
    if interrupted:
        interrupted = False
        raise InterruptProcessingException
