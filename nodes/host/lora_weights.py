"""A LoRA on a model: through ComfyUI's own machinery, under MAGI's layer names or those of the diffusers conversion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.lora
import comfy.lora_convert
import comfy.utils
from comfy.patcher_extension import PatcherInjection
from comfy.weight_adapter import BypassInjectionManager, WeightAdapterBase
from torch import Tensor

from magi_core.digest import digest
from magi_core.engine import Engine
from magi_core.errors import MagiError, echo
from magi_core.operations.fp8 import Fp8Linear, Fp8RowLinear
from magi_core.weights import contents_digest, fingerprint, lora_targets, read_tensors

from .engine import patched, patcher_of
from .patcher import Patcher


def with_lora(engine: Engine, file: Path, strength: float) -> Engine:
    """A copy of `engine` whose weights have the LoRA in `file` on them, `strength` times; weights are shared.

    Layers in fp8 cannot take a change into their weights: there the LoRA runs beside the layer.
    Raises `MagiError` for a file that is not a LoRA of this model, and for one with numbers that are not finite.
    """
    contents = contents_digest(read_tensors(file))
    tensors = comfy.lora_convert.convert_lora(comfy.utils.load_torch_file(str(file), safe_load=True))
    shapes = {name: tuple(tensor.shape) for name, tensor in engine.dit.state_dict().items()}
    found = comfy.lora.load_lora(tensors, lora_targets(shapes), log_missing=False)
    if not found:
        raise MagiError(
            f"{file.name} is not a LoRA for MAGI-1: none of its {len(tensors)} tensors belongs to a layer of the "
            f"model, the first is {echo(next(iter(tensors), 'missing'), quoted=False)}"
        )
    _check_shapes(found, shapes, file.name)
    quantised = {
        target: adapter
        for target, adapter in found.items()
        if isinstance(target, str)
        and isinstance(engine.dit.get_submodule(target.rpartition(".")[0]), Fp8Linear | Fp8RowLinear)
    }
    patcher = patcher_of(engine).clone()
    patcher.add_patches({target: patch for target, patch in found.items() if target not in quantised}, strength)
    if quantised:
        _beside(patcher, quantised, strength, file.name)
    result = patched(engine, patcher, digest(engine.fingerprint, fingerprint(file), strength))
    return result.copy(weights_digest=engine.weights_digest and digest(engine.weights_digest, contents, strength))


def _check_shapes(found: dict[Any, Any], shapes: dict[str, tuple[int, ...]], name: str) -> None:
    """ComfyUI would leave a patch of another shape out, with a line in the log."""
    for target, patch in found.items():
        parameter, part = (target, None) if isinstance(target, str) else target
        if isinstance(patch, WeightAdapterBase) and patch.name == "lora" and 1 < len(shapes[parameter]) < 4:
            rows = shapes[parameter][-2] if part is None else part[2]
            up, down = patch.weights[:2]
            if (up.shape[0], down.shape[1]) != (rows, shapes[parameter][-1]):
                raise MagiError(
                    f"{name} was made for another MAGI-1 model: for {parameter} it is {up.shape[0]} x {down.shape[1]}, "
                    f"this model has {rows} x {shapes[parameter][-1]}. Use it with the model that it was trained on."
                )


def _beside(patcher: Patcher, adapters: dict[str, Any], strength: float, name: str) -> None:
    """Run `adapters` beside their layers while the model is loaded; their tensors leave the device with it."""
    if not all(isinstance(adapter, WeightAdapterBase) for adapter in adapters.values()):
        raise MagiError(f"{name} replaces whole weights, which an fp8 model cannot take: use the bf16 model with it")
    manager = BypassInjectionManager()
    for target, adapter in adapters.items():
        manager.add_adapter(target, adapter, strength)
    (injection,) = manager.create_injections(patcher.model)

    def eject(patcher: Patcher) -> None:
        injection.eject(patcher)
        for adapter in adapters.values():
            adapter.weights = tuple(w.cpu() if isinstance(w, Tensor) else w for w in adapter.weights)

    key = f"magi lora {len(patcher.injections)}"  # one model may carry several
    patcher.set_injections(key, [PatcherInjection(inject=injection.inject, eject=eject)])
