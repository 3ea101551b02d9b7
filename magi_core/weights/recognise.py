"""What a checkpoint is: architecture from tensor shapes, base or distilled from names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from magi_core.config import DiTConfig
from magi_core.errors import MagiError, echo
from magi_core.inputs.json_text import read_json
from magi_core.weights.header import TensorHeader
from magi_core.weights.layouts import LAYERS, PACKED, official_names

DUPLICATED_CHANNELS = 32  # input channels of models that take the 16 latent channels twice
DUPLICATED_RESCALE = 0.1  # their input scale, which no tensor shows
VARIANTS = ("base", "distill")
LAYER = re.compile(r"videodit_blocks\.layers\.(\d{1,9})\.")
SIZED_NAME = re.compile(r"\d+(\.\d+)?b[_-]")
CHOOSE = "Choose the folder of the transformer, such as 4.5B_base/inference_weight."
MARKERS = {"x_embedder.weight", "final_linear.linear.weight", "rope.bands"}
CONVERTED = re.compile(r"blocks\.\d+\.(ada_modulate_layer|attn_proj)\.|condition_embedder\.text_embedder\.y_proj_")
DIFFUSERS_CLASS = "MagiTransformer3DModel"


def looks_like_dit(names: Iterable[str]) -> bool:
    """Whether tensor names are (at least in part) those of a MAGI transformer, also of one that cannot be loaded."""
    own = official_names(names)
    return bool(own & MARKERS) or any(name.startswith(LAYERS) or CONVERTED.match(name) for name in own)


def recognise(headers: Mapping[str, TensorHeader], official: Mapping[str, Any] | None = None) -> DiTConfig:
    """Architecture of the transformer with these tensors; `distill` is left False, as no tensor tells it.

    official: the reference's JSON, where one lies beside the weights. It settles what shapes cannot show
    (input scale, channel duplication, norm epsilon); what it says about shapes has to agree with them.
    Raises `MagiError` for tensors of anything else.
    """
    layers = {int(m[1]) for name in headers if (m := LAYER.match(name))}
    if not layers:
        raise MagiError(f"this is not a MAGI-1 transformer: {_what_it_is(headers)}")
    if packed := [name for name in headers if name.startswith(LAYERS) and name.endswith("." + PACKED)]:
        raise MagiError(f"this is not a MAGI-1 transformer: {_packed(headers[packed[0]])}")
    hidden = _size(headers, ("self_attn_post_norm.weight", -1), ("mlp_post_norm.weight", -1), ("fc2.weight", -2))
    head_dim = _size(headers, ("self_attention.q_layernorm.weight", -1), ("self_attention.k_layernorm.weight", -1))
    keys = _size(headers, ("linear_qkv.k.weight", -2), ("linear_qkv.v.weight", -2))
    inner = _size(headers, ("mlp.linear_fc2.weight", -1))
    fan = _size(headers, ("mlp.linear_fc1.weight", -2))
    out_rows = _size(headers, ("final_linear.linear.weight", -2), default=64)
    t_patch = _size(headers, ("x_embedder.weight", -3), default=1)
    patch = _size(headers, ("x_embedder.weight", -1), default=2)
    in_channels = _size(headers, ("x_embedder.weight", -4), default=out_rows // 4)
    text = ("y_embedder.null_caption_embedding", "y_embedder.y_proj_xattn.0.weight", "y_embedder.y_proj_adaln.0.weight")
    duplicated = in_channels == DUPLICATED_CHANNELS
    config = DiTConfig(
        num_layers=max(layers) + 1,
        hidden_size=hidden,
        ffn_hidden_size=inner,
        num_heads=hidden // head_dim,
        num_groups=keys // head_dim,
        head_dim=head_dim,
        caption_channels=_size(headers, *((name, -1) for name in text)),
        caption_max_length=_size(headers, (text[0], -2), default=800),
        in_channels=in_channels,
        out_channels=out_rows // (t_patch * patch * patch),
        patch_size=patch,
        t_patch_size=t_patch,
        cond_size=_size(headers, ("ada_modulate_layer.proj.0.weight", -1), ("t_embedder.mlp.0.weight", -2)),
        gated=fan == 2 * inner,
        half_channel_vae=duplicated,
        x_rescale_factor=DUPLICATED_RESCALE if duplicated else 1.0,
        fp8=any(name.endswith(".weight_scale") for name in headers),
    )
    return config if official is None else _with_official(config, official)


def variant_from_name(path: str | Path) -> str | None:
    """ "base" or "distill" by the names of the weights; None where they do not say.

    The file's own name counts first, then its folder's (`inference_weight` and `inference_weight.fp8` are
    base, `inference_weight.distill` is distilled), then that of the folder around it if it begins with a
    size, as `4.5B_base` and `24B_distill_quant` do.
    """
    path = Path(path).absolute()
    is_file = path.name.lower().endswith((".index.json", ".safetensors", ".safetensors.zst", ".bin"))
    folder = path.parent if is_file else path
    around = folder.parent.name.lower()
    names = [path.name.lower(), folder.name.lower(), around if SIZED_NAME.match(around) else ""]
    return next((variant for name in names if (variant := _variant_of(name))), None)


def variant_of(path: Path) -> str | None:
    """ "base" or "distill" by names, or else by the configuration beside the weights; None where neither says."""
    engine = (official_config(path) or {}).get("engine_config")
    stated = engine.get("distill") if isinstance(engine, dict) else None
    return variant_from_name(path) or (VARIANTS[stated] if isinstance(stated, bool) else None)


def choose_variant(path: Path, variant: str = "auto") -> str:
    """The explicit `variant`, or the one that names tell; `MagiError` where they do not."""
    if variant in VARIANTS:
        return variant
    if variant != "auto":
        raise MagiError(f"unknown variant {echo(variant)}: use 'auto', 'base' or 'distill'")
    named = variant_of(path)
    if named is None:
        raise MagiError(
            f"{path}: the folder names do not say whether this model is base or distilled, and the weights "
            "look the same. Choose variant 'base' or 'distill' (the official folders are called inference_weight and "
            "inference_weight.distill)"
        )
    return named


def official_config(path: Path) -> dict[str, Any] | None:
    """The reference's configuration JSON, if one lies in the weights' folder or the one around it."""
    folder = path if path.is_dir() else path.parent
    for place in (folder, folder.parent):
        for file in sorted(place.glob("*config.json")):
            try:
                content = read_json(file, "configuration")
            except MagiError:
                continue
            if isinstance(content, dict) and "model_config" in content:
                return content
            if isinstance(content, dict) and content.get("_class_name") == DIFFUSERS_CLASS:
                try:
                    return _from_diffusers(content)
                except (TypeError, ValueError):
                    raise MagiError(f"{file} does not say how this model is built: download it again") from None
    return None


def _from_diffusers(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a diffusers folder in the reference's words. What is missing has diffusers' own default."""
    width = config.get("attention_head_dim", 128) * config.get("num_attention_heads", 24)
    doubled = 2 if config.get("duplicate_channels", False) else 1
    t_patch, patch, _ = config.get("patch_size", (1, 2, 2))
    model = {
        "num_layers": config.get("num_layers", 34),
        "hidden_size": width,
        "ffn_hidden_size": config.get("ffn_dim", 12288),
        "num_attention_heads": config.get("num_attention_heads", 24),
        "num_query_groups": config.get("num_key_value_heads", 8),
        "caption_channels": config.get("caption_channels", 4096),
        "caption_max_length": config.get("caption_max_length", 800),
        "in_channels": config.get("in_channels", 16) * doubled,
        "out_channels": config.get("out_channels", 16) * doubled,
        "patch_size": patch,
        "t_patch_size": t_patch,
        "gated_linear_unit": config.get("gated_linear_unit", False),
        "half_channel_vae": doubled == 2,
        "x_rescale_factor": config.get("x_rescale_factor", 1.0),
        "layernorm_epsilon": config.get("norm_eps", 1e-6),
    }
    return {"model_config": model, "engine_config": {"distill": config.get("distilled", False)}}


def _variant_of(name: str) -> str | None:
    words = set(re.split(r"[^a-z0-9]+", name))
    base = "base" in words or name in ("inference_weight", "inference_weight.fp8")
    distilled = bool(words & {"distill", "distilled"})
    return None if base == distilled else "base" if base else "distill"


def _size(headers: Mapping[str, TensorHeader], *places: tuple[str, int], default: int | None = None) -> int:
    """The size that most of `places` (end of a tensor name, axis from the right) agree on.

    A vote, so that one missing or misshapen tensor does not hide what the model is: it is named by the check of all
    tensors that follows. Without any of them it is the default, or else `MagiError`.
    """
    endings = tuple(ending for ending, _ in places)
    votes = Counter(
        header.shape[axis]
        for name, header in headers.items()
        if name.endswith(endings)
        for ending, axis in places
        if name.endswith(ending) and len(header.shape) >= -axis and header.shape[axis]
    )
    if votes:
        return votes.most_common(1)[0][0]
    if default is None:
        raise MagiError(f"the MAGI-1 model is incomplete: it has no {places[0][0]}. Download the folder again.")
    return default


def _with_official(config: DiTConfig, official: Mapping[str, Any]) -> DiTConfig:
    try:
        named = DiTConfig.from_official_json(official)
    except MagiError as error:
        raise MagiError(f"the config JSON beside the weights is of no use ({error}): remove it") from None
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise MagiError(f"the model's config JSON lacks {echo(error)}: remove the file or download it again") from None
    config = replace(
        config,
        half_channel_vae=named.half_channel_vae,
        x_rescale_factor=named.x_rescale_factor,
        layernorm_epsilon=named.layernorm_epsilon,
    )
    differing = [
        f"{field} {getattr(named, field)} instead of {getattr(config, field)}"
        for field in (
            "num_layers",
            "hidden_size",
            "ffn_hidden_size",
            "num_heads",
            "num_groups",
            "in_channels",
            "gated",
        )
        if getattr(named, field) != getattr(config, field)
    ]
    if differing:
        raise MagiError(
            f"the config JSON beside the weights is of another model: {', '.join(differing)}. "
            "Remove it, or put the right one there."
        )
    return config


def _what_it_is(headers: Mapping[str, TensorHeader]) -> str:
    names = set(headers)
    if LAYERS + PACKED in names:
        return _packed(headers[LAYERS + PACKED])
    if any(name.startswith(LAYERS) for name in names):
        return "its layers are stacked in a way that is not known. Use files with a tensor for every layer."
    if "encoder.cls_token" in names:
        return f"it is the VAE. {CHOOSE}"
    if any(name.startswith("encoder.block.") for name in names):
        return f"it is a T5 text encoder. {CHOOSE}"
    if any(map(CONVERTED.match, names)):
        return (
            "it is an early conversion of MAGI-1 to diffusers (Magi1Transformer3DModel), whose layout is not read. Use "
            f"the official files, or a conversion to diffusers' {DIFFUSERS_CLASS}."
        )
    known = ", ".join(echo(name, quoted=False) for name in sorted(names)[:3]) or "none"
    return f"it holds other tensors ({known}). {CHOOSE}"


def _packed(header: TensorHeader) -> str:
    size = " x ".join(map(str, header.shape))
    return (
        f"it is MAGI-1.1 with its q, qx, k and v packed into one matrix (linear_qkv.weight, {size}). In which order "
        "they are packed has not been published, and the public MAGI-1 code cannot run these files either. Files of "
        "MAGI-1.1 with a q, qx, k and v for every layer can be loaded, and so can MAGI-1."
    )
