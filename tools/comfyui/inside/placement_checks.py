"""ComfyUI places weights: results stay the same, memory is announced, nothing stays behind."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import comfy.ldm.modules.attention as comfy_attention
import comfy.memory_management
import comfy.model_management as management
import comfy.model_patcher
import pack
import torch
from comfy_execution import caching
from pack import distance, run
from torch._dynamo.utils import counters

from magi_core.dit import DiT
from magi_core.loading import load

PROMPT = "a big red circle moves right"
SMALL = {"width": 64, "height": 64, "steps": 4, "seed": 3}


class Parts:
    """nano through our loaders, loaded once, and the same without ComfyUI."""

    model, vae, encoder = (
        run(node, model="nano", dtype="fp32") for node in ("MagiLoadModel", "MagiLoadVAE", "MagiLoadTextEncoder")
    )
    plain = load("nano", device="cpu")
    text = run("MagiTextEncode", text_encoder=encoder, prompt=PROMPT)
    expected = plain.extend(plain.begin(**SMALL), text.embedding)


def check_parity() -> dict[str, Any]:
    ours, plain = Parts.plain.encode_prompt(PROMPT), Parts.plain
    state = _sampled(Parts.model)
    frames, _ = run("MagiVAEDecode", vae=Parts.vae, state=state)
    prefix = run("MagiVAEEncode", vae=Parts.vae, image=frames[:9], width=64, height=64)
    return {
        "text": distance(Parts.text.tokens, ours.tokens),
        "latents": distance(state.latents, Parts.expected.latents),
        "frames": float((frames * 255 - torch.cat(list(plain.decode(Parts.expected)))).abs().max()),
        "prefix": distance(prefix["samples"] * plain.vae.scale_factor, plain.vae.encode(frames[:9])),
    }


def check_low_vram() -> dict[str, Any]:
    """A third of each model's weights in place, the others fetched when their layers run."""
    found = {}
    with _partly(Parts.model.host.patcher) as fetched:
        found["latents"] = distance(_sampled(Parts.model, keep=True).latents, Parts.expected.latents)
        found["fetched"] = fetched
    with _partly(Parts.vae.patcher):
        found["frames"] = _decoding_error(Parts.vae)
    with _partly(Parts.encoder.states.patcher):
        found["text"] = distance(Parts.encoder.encode(PROMPT).tokens, Parts.text.tokens)
    found["after"] = distance(_sampled(Parts.model).latents, Parts.expected.latents)
    return found


def check_dynamic_layers() -> dict[str, Any]:
    """With dynamic VRAM, ComfyUI's layers hold nothing until they are loaded."""
    before, comfy.memory_management.aimdo_enabled = comfy.memory_management.aimdo_enabled, True
    try:
        empty = DiT(Parts.model.dit.config, operations=pack.module("host.layers").COMFYUI, device="meta")
        loaders = ("MagiLoadModel", "MagiLoadVAE", "MagiLoadTextEncoder")
        model, vae, encoder = (run(node, model="nano", dtype="fp32") for node in loaders)
    finally:
        comfy.memory_management.aimdo_enabled = before
    return {
        "empty": empty.final_linear.linear.weight is None,
        "latents": distance(_sampled(model).latents, Parts.expected.latents),
        "frames": _decoding_error(vae),
        "text": distance(run("MagiTextEncode", text_encoder=encoder, prompt=PROMPT).tokens, Parts.text.tokens),
    }


def check_moved_between_prompts() -> dict[str, Any]:
    """Weights that were moved outside inference mode, as "Unload models" does it, serve the next prompt.

    There is no second device here: to move is to be copied.
    """
    loaders = ("MagiLoadModel", "MagiLoadVAE", "MagiLoadTextEncoder")
    model, vae, encoder = (run(node, model="nano", dtype="fp32") for node in loaders)
    for patcher in (model.host.patcher, vae.patcher, encoder.states.patcher):
        for parameter in patcher.model.parameters():
            parameter.data = parameter.data.clone()
    return {
        "latents": distance(_sampled(model).latents, Parts.expected.latents),
        "frames": _decoding_error(vae),
        "text": distance(run("MagiTextEncode", text_encoder=encoder, prompt=PROMPT).tokens, Parts.text.tokens),
    }


def check_announced() -> dict[str, Any]:
    """Models are loaded when a node runs, with what they need beside their weights; the transformer once for a run."""
    with _listening() as calls:
        model = run("MagiLoadModel", model="nano")
        vae = run("MagiLoadVAE", model="nano")
        at_load = len(calls)
        state = _sampled(model)
        in_a_run = len(calls) - at_load
        run("MagiVAEDecode", vae=vae, state=state)
        run("MagiTextEncode", text_encoder=Parts.encoder, prompt="it turns blue")
    most = {name: max(size for other, size in calls if other == name) for name, _ in calls}
    return {"at_load": at_load, "in_a_run": in_a_run, "models": list(most), "bytes": list(most.values())}


def check_remembered_chunks_need_no_model() -> int:
    """What the engine remembers is handed out without loading anything."""
    _sampled(Parts.model)
    with _listening() as calls:
        _sampled(Parts.model, keep=True)
    return len(calls)


def check_unload() -> dict[str, Any]:
    _sampled(Parts.model)
    loaded = [type(patcher.model).__name__ for patcher in management.loaded_models()]
    management.unload_all_models()
    after = [type(patcher.model).__name__ for patcher in management.loaded_models()]
    return {"before": loaded, "after": after, "again": distance(_sampled(Parts.model).latents, Parts.expected.latents)}


def check_freed() -> dict[str, bool]:
    """Models go with the last wire that holds them, used or not. ComfyUI counts through its list of loaded models, and
    fails when the garbage collector takes one out meanwhile."""

    def used_vae() -> Any:
        vae = run("MagiLoadVAE", model="nano")
        run("MagiVAEDecode", vae=vae, state=_sampled(Parts.model))
        return vae.patcher.model

    def used_model() -> Any:
        model = run("MagiLoadModel", model="nano")
        _sampled(run("MagiModelSettings", model=model, attention="sdpa"))
        return model.dit

    def used_encoder() -> Any:
        encoder = run("MagiLoadTextEncoder", model="nano")
        run("MagiTextEncode", text_encoder=encoder, prompt="it turns blue")
        return encoder.states.patcher.model

    found = {}
    gc.disable()
    try:
        for make in (used_vae, used_model, used_encoder):
            weights = weakref.ref(make())
            found[make.__name__] = weights() is None
    finally:
        gc.enable()
    return found


def check_detached() -> dict[str, Any]:
    """Weights loaded by a node, in inference mode, go back between two prompts, outside it, and serve the next one.

    There is no second device here: to go back is to be copied.
    """
    with torch.inference_mode():
        model, tied = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
        model.tied, tied.weight = tied, model.weight
        weight = model.weight.clone()
    patcher = SimpleNamespace(model=model, load_device=torch.device("cpu"), offload_device=torch.device("meta"))
    with mock.patch.object(torch.Tensor, "to", lambda tensor, device: tensor.clone()):
        pack.module("host.patcher")._leave_nothing(patcher, True)
    with torch.inference_mode():
        return {
            "column": distance(model.weight[:, :1], weight[:, :1]),
            "kept": type(model.weight).__name__,
            "tied": model.weight.data_ptr() == tied.weight.data_ptr(),
        }


def check_two_models() -> dict[str, Any]:
    """Taken in turns, two models give what each gives alone."""
    other = run("MagiLoadModel", model="nano", dtype="bf16")
    alone = _sampled(other).latents
    mixed = [(_sampled(Parts.model).latents, _sampled(other).latents) for _ in range(2)]
    return {
        "first": max(distance(first, Parts.expected.latents) for first, _ in mixed),
        "second": max(distance(second, alone) for _, second in mixed),
        "different": distance(alone, Parts.expected.latents),
    }


def check_counted() -> dict[str, int]:
    """Bytes that ComfyUI counts in outputs of nodes when it looks for memory to free, and what their tensors are."""
    cache = caching.RAMPressureCache(caching.CacheKeySetInputSignature)
    outputs = {"state": _sampled(Parts.model), "prompt": Parts.text}
    state = outputs["state"].state
    held = {chunk.latent.data_ptr(): chunk.latent.nbytes for chunk in (*state.chunks, *state.in_flight)}
    found = {"state tensors": sum(held.values()), "prompt tensors": Parts.text.tokens.nbytes}
    for name, output in outputs.items():
        cache.cache, cache.children = {name: SimpleNamespace(outputs=[[output]])}, {}
        cache.used_generation, cache.timestamps = {name: 0}, {name: 0.0}
        freed = cache.ram_release(float("inf"), free_active=True)
        found[name] = round(freed - caching.RAM_CACHE_DEFAULT_RAM_USAGE)
    return found


def check_attention() -> dict[str, Any]:
    """Overrides by other nodes are honoured, and so is what ComfyUI was started with."""
    calls = []

    def override(chosen: Any, *args: Any, **options: Any) -> Any:
        calls.append(chosen)
        return chosen(*args, **options)

    options = Parts.model.host.patcher.model_options["transformer_options"]
    options["optimized_attention_override"] = override
    before = comfy_attention.optimized_attention
    try:
        overridden = _sampled(Parts.model).latents
        overrides = len(calls)
        comfy_attention.optimized_attention = comfy_attention.attention_split
        split = _sampled(Parts.model).latents
    finally:
        comfy_attention.optimized_attention = before
        del options["optimized_attention_override"]
    return {
        "overrides": overrides,
        "overridden": distance(overridden, Parts.expected.latents),
        "chosen": calls[-1].__name__,
        "split": distance(split, Parts.expected.latents),
    }


def check_compile() -> dict[str, Any]:
    """Parts of the model through torch.compile: its weights in place, fetched, unloaded and back; one set of graphs."""
    torch._dynamo.reset()
    counters.clear()
    fast = run("MagiModelSettings", model=Parts.model, compile=True)
    found = {"latents": distance(_sampled(fast).latents, Parts.expected.latents)}
    graphs = counters["stats"]["unique_graphs"]
    with _partly(fast.host.patcher):
        found["low_vram"] = distance(_sampled(fast).latents, Parts.expected.latents)
    management.unload_all_models()
    found["again"] = distance(_sampled(fast).latents, Parts.expected.latents)
    found["plain"] = distance(_sampled(Parts.model).latents, Parts.expected.latents)
    found |= {"graphs": graphs, "works": not fast.compiler.failed}
    return found | {
        "more": counters["stats"]["unique_graphs"] - graphs,
        "breaks": sum(counters["graph_break"].values()),
    }


def check_interrupt() -> dict[str, Any]:
    """Memory on the device, in MiB, through a run that is interrupted; all of it is free again after unloading."""
    forwards = 0

    def stop(*_: Any) -> None:
        nonlocal forwards
        forwards += 1
        management.interrupt_current_processing(forwards == 8)

    management.unload_all_models()
    found = {"before": _mib()}
    hook = Parts.model.dit.register_forward_hook(stop)
    try:
        Parts.model.cache.clear()
        run("MagiChunkSampler", model=Parts.model, conditioning=Parts.text, **SMALL | {"chunks": 4})
        found["stopped"] = False
    except management.InterruptProcessingException:
        found["stopped"] = True
    finally:
        hook.remove()
    found |= {"forwards": forwards, "after the interrupt": _mib()}
    found["again"] = distance(_sampled(Parts.model).latents, Parts.expected.latents)
    found["after a run"] = _mib()
    management.unload_all_models()
    return found | {"after unloading": _mib()}


def check_vram() -> dict[str, Any]:
    """Memory on the device, in MiB, before, during and after a run, of a size that shows where there is a GPU."""
    management.unload_all_models()
    side = 512 if torch.cuda.is_available() else 64
    found: dict[str, Any] = {"before": _mib()}
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    state = run("MagiChunkSampler", model=Parts.model, conditioning=Parts.text, width=side, height=side, steps=4)
    if torch.cuda.is_available():
        found["peak of the sampler"] = torch.cuda.max_memory_allocated() >> 20
    found["after the sampler"] = _mib()
    run("MagiVAEDecode", vae=Parts.vae, state=state)
    found["after the decoder"] = _mib()
    management.unload_all_models()
    return found | {"after unloading": _mib(), "device": str(Parts.model.host.patcher.load_device), "patcher": _kind()}


def _sampled(model: Any, keep: bool = False) -> Any:
    """One chunk; from scratch unless `keep`."""
    if not keep:
        model.cache.clear()
    return run("MagiChunkSampler", model=model, conditioning=Parts.text, **SMALL)


def _decoding_error(vae: Any) -> float:
    """Largest difference from what the VAE gives without ComfyUI, in 8-bit levels."""
    with vae.working(24, 64, 64) as codec:
        frames = torch.cat(list(codec.decode(Parts.expected.latents)))
    return float((frames.float() - torch.cat(list(Parts.plain.decode(Parts.expected))).float()).abs().max())


def _mib() -> list[int]:
    """What PyTorch has allocated on the GPU, and what is taken there in all; zeros without one."""
    gc.collect()
    if not torch.cuda.is_available():
        return [0, 0]
    management.soft_empty_cache()
    free, total = torch.cuda.mem_get_info()
    return [torch.cuda.memory_allocated() >> 20, (total - free) >> 20]


def _kind() -> str:
    return type(Parts.model.host.patcher).__name__


@contextlib.contextmanager
def _partly(patcher: Any) -> Iterator[int]:
    """The model loaded with room for a third of its weights only; the number of layers that fetch theirs."""
    if patcher.is_dynamic():  # fetches every weight when its layer runs, as it is
        management.load_models_gpu([patcher])
    else:
        patcher.detach()
        patcher.patch_model(patcher.load_device, lowvram_model_memory=patcher.model_size() // 3)
    load, management.load_models_gpu = management.load_models_gpu, lambda *args, **options: None
    try:
        yield sum(getattr(layer, "comfy_cast_weights", False) for layer in patcher.model.modules())
    finally:
        management.load_models_gpu = load
        management.unload_all_models()
        patcher.detach()


@contextlib.contextmanager
def _listening() -> Iterator[list[tuple[str, float]]]:
    """Calls that ask ComfyUI to load a model: its class, and the bytes announced."""
    calls: list[tuple[str, float]] = []
    load = management.load_models_gpu

    def listen(models: Any, memory_required: float = 0, **options: Any) -> None:
        calls.extend((type(patcher.model).__name__, memory_required) for patcher in models)
        load(models, memory_required=memory_required, **options)

    management.load_models_gpu = listen
    try:
        yield calls
    finally:
        management.load_models_gpu = load
