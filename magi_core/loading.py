"""`magi_core.load`: from a model's name or folder to an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from magi_core.attention.choose import get_attention
from magi_core.attention.spans import Attention
from magi_core.budget import HOLES, WithinBudget, allowed_on, without_holes
from magi_core.cache.engine_cache import MOST_ON_GPU, EngineCache
from magi_core.config import Guidance, SamplingSettings
from magi_core.dit import DiT
from magi_core.dit.memory import sampling_memory
from magi_core.engine import USUAL_SIZE, Engine
from magi_core.errors import MagiError, echo
from magi_core.host import Alone, Host
from magi_core.inputs.json_text import read_json
from magi_core.inputs.regular import possible
from magi_core.kernels.compilation import Compiler, check_compilation
from magi_core.operations import PLAIN, Operations, Streamed
from magi_core.text import load_special_tokens, load_text_encoder
from magi_core.vae import VAE, load_vae, vae_identity
from magi_core.video.size import check_size
from magi_core.weights import ModelFiles, find_model, fingerprint, pick_device, read_dit, read_tensors
from magi_core.weights.fingerprint import in_fp8
from magi_core.weights.reader import Checkpoint

ASSETS = Path(__file__).parent / "assets"
RECOMMENDED = "nano.json"  # beside a bundled model: sampling settings that differ from the reference's


def _bundled() -> dict[str, tuple[Path, str]]:
    """Folder and variant of every model in the box, by name: "nano", and "nano-distill" in the same folder."""
    models = {}
    for folder in sorted(path for path in ASSETS.glob("*") if path.is_dir()):
        models[folder.name] = (folder, "base")
        if (folder / "inference_weight.distill").is_dir():
            models[f"{folder.name}-distill"] = (folder, "distill")
    return models


BUNDLED = _bundled()


def load(
    model: str | Path | ModelFiles,
    *,
    variant: str = "auto",
    device: torch.device | str = "auto",
    dtype: torch.dtype | str = "auto",
    attention: str | Attention = "auto",
    compiled: bool = False,
    operations: Operations = PLAIN,
    encoders: bool = True,
    vram: float | None = None,
    compute: torch.device | None = None,
) -> Engine:
    """An engine with everything found around `model`.

    model: "nano" or "nano-distill" (bundled) or a folder with official weights, as downloaded; the VAE, the text
    encoder and special_tokens.npz are looked for in it and around it. Or the files themselves, where they were found.
    variant: "base" or "distill" where folder names do not tell.
    device, dtype: "auto" picks a GPU and bfloat16, or the CPU and, for small models, float32. dtype "fp8" brings the
    blocks' large linears to fp8, whatever the weights are, with a scale for every row: half the memory of bfloat16.
    attention: "auto", "sdpa", "flash_attn" or an `Attention`. operations: makes the layers (plain PyTorch's).
    compiled: the transformer's arithmetic goes through torch.compile: faster after a minute at the first forward.
    encoders: False leaves the VAE and the text encoder out, for hosts that load them separately.
    vram: GB (10^9 bytes) of a GPU's memory that the process may take in all; None: what is free. Blocks of the
    transformer that find no room beside a run wait in main memory and are streamed; a text encoder that finds none
    works on the CPU. compute: the device that "auto" chooses for, where weights wait on another.
    Raises `MagiError` for folders that are not a model, damaged files, weights that are not finite, undecidable
    variants, parts that do not fit, and where torch.compile lacks what it needs.
    A part that is absent is missed only when it is used.
    """
    files = model if isinstance(model, ModelFiles) else locate(model, variant)
    device = pick_device(device)
    allowed = allowed_on(device, vram)
    if compiled:
        check_compilation(device)
    backend = get_attention(attention, device) if isinstance(attention, str) else attention
    checkpoint = read_tensors(files.dit)
    streamed = Streamed() if allowed is not None and operations is PLAIN else None
    if streamed is not None:
        without_holes()
    dit, contents = read_dit(
        checkpoint,
        variant=variant,
        device=device if streamed is None or _stored(checkpoint) <= (allowed or 0) else "cpu",
        dtype=dtype,
        operations=streamed or operations,
        compute=compute or device,
    )
    vae = None
    if encoders and files.vae is not None:
        vae = load_vae(files.vae, device=device, dtype=dtype, operations=operations)
    host, cache = _placed(dit, vae, streamed, device, allowed)
    compiler = Compiler() if compiled else None
    engine = Engine(dit, vae=vae, attention=backend, compiler=compiler, host=host, cache=cache)
    name = in_fp8 if dit.fp8_rows else str
    engine = engine.copy(fingerprint=name(fingerprint(checkpoint)), weights_digest=name(contents))
    engine = _reading(engine, files, device, allowed, encoders)
    settings = recommended_settings(files, engine.settings)
    return engine.copy(settings=settings, size=own_size(files), own_vae=own_vae(files))


def _placed(
    dit: DiT, vae: VAE | None, streamed: Streamed | None, device: torch.device, allowed: int | None
) -> tuple[Host, EngineCache]:
    """What places the weights of `dit` from now on, within the `allowed` bytes where it is made with `streamed`, and a
    cache that fits beside."""
    if streamed is None or allowed is None:
        return Alone(), EngineCache(dit.device)
    beside = 0 if vae is None else sum(parameter.nbytes for parameter in vae.model.parameters())
    host = WithinBudget(dit, streamed, device, allowed, beside)
    return host, EngineCache(host.device, device_bytes=MOST_ON_GPU)


def _reading(engine: Engine, files: ModelFiles, device: torch.device, allowed: int | None, encoders: bool) -> Engine:
    """`engine` with what it reads texts with: special tokens and, with the `encoders`, T5."""
    config = engine.dit.config
    channels, limit = config.caption_channels, config.caption_max_length
    if encoders and files.t5 is not None:
        place, weights = device, _bytes_in_bf16(files.t5)
        if allowed is not None and not _fits_beside(weights, engine, allowed):
            place = torch.device("cpu")
        elif isinstance(engine.host, WithinBudget):
            engine.host.beside += weights
        encoder = load_text_encoder(files.t5, device=place, dtype="auto", max_length=limit, channels=channels)
        engine = engine.copy(text_encoder=encoder)
    if files.special_tokens is not None:
        engine = engine.copy(special_tokens=load_special_tokens(files.special_tokens, channels=channels))
    return engine


def _stored(checkpoint: Checkpoint) -> int:
    return sum(header.numel * header.dtype.itemsize for header in checkpoint.headers.values())


def _bytes_in_bf16(folder: Path) -> int:
    return 2 * sum(header.numel for header in read_tensors(folder).headers.values())


def _fits_beside(text_encoder: int, engine: Engine, allowed: int) -> bool:
    """Whether so many bytes find room beside the models of `engine` and a run of the usual kind."""
    parameters = [*engine.dit.parameters(), *(engine.vae.model.parameters() if engine.vae else ())]
    width, height = USUAL_SIZE
    run = sampling_memory(
        engine.dit.config, engine.settings, width=width, height=height, chunks=9, itemsize=2, fused=True, pages=2
    )
    frames = engine.decoding_bytes(width, height)
    return sum(parameter.nbytes for parameter in parameters) + run.total + frames + text_encoder + HOLES <= allowed


def locate(model: str | Path, variant: str = "auto") -> ModelFiles:
    """Where the parts of `model` are: the name of a bundled model, or any folder at or above a transformer."""
    if str(model) in BUNDLED:
        folder, own = BUNDLED[str(model)]
        if (folder.name, variant) == (model, "distill") and f"{model}-distill" in BUNDLED:
            own = variant
        if variant not in ("auto", own):
            raise MagiError(f"{model} is a {own} model: choose variant 'auto', or one of {', '.join(BUNDLED)}")
        return find_model(folder, own)
    if not possible(model, "model", folder=True).exists():
        raise MagiError(
            f"there is no model at {model}: give a folder with MAGI-1 weights, or {' or '.join(map(repr, BUNDLED))} "
            "for the bundled model"
        )
    return find_model(model, variant)


def recommended_settings(files: ModelFiles, settings: SamplingSettings) -> SamplingSettings:
    """`settings` with what the model's own JSON recommends for its variant (key "sampling"), if it has one."""
    path = _card(files)
    if path is None:
        return settings
    try:
        changes = read_json(path, "configuration").get("sampling", {}).get(files.variant or "base", {})
        return settings.with_changes(**{name: _value(name, value) for name, value in changes.items()})
    except (AttributeError, TypeError, ValueError) as error:
        raise MagiError(f"{path} does not say how to sample its model ({echo(error)}): get it again") from None


def own_size(files: ModelFiles) -> tuple[int, int]:
    """Width and height that the model was made for: what its own JSON says, or what official models are used at."""
    path = _card(files)
    if path is None:
        return USUAL_SIZE
    card = read_json(path, "configuration")
    try:
        size = card.get("width", USUAL_SIZE[0]), card.get("height", USUAL_SIZE[1])
        check_size(*size)
    except (AttributeError, MagiError) as error:
        raise MagiError(f"{path} names no size for its model ({echo(error)}): get it again") from None
    return size


def own_vae(files: ModelFiles) -> str:
    """`VAE.identity` of the VAE that lies with a model; "" where there is none that can be read."""
    try:
        return "" if files.vae is None else vae_identity(files.vae)
    except MagiError:  # said by whoever loads it
        return ""


def _card(files: ModelFiles) -> Path | None:
    """The JSON beside a bundled model that says how it is used."""
    places = (folder / RECOMMENDED for folder in (files.dit, *files.dit.parents[:2]))
    return next((path for path in places if path.is_file()), None)


def _value(name: str, value: Any) -> Any:
    if name == "guidance":
        return Guidance(**{key: tuple(values) for key, values in value.items()})
    return tuple(value) if isinstance(value, list) else value
