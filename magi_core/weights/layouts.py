"""Under which names, and in which pieces, a checkpoint stores the tensors of a MAGI model.

Official names pass through. Names with a prefix, those of diffusers' `MagiTransformer3DModel` and `AutoencoderKLMagi`,
and the stacked layers of MAGI-1.1 are led back to them; what a tensor is made of is said by a `Stored`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from magi_core.weights.header import TensorHeader

PREFIXES = ("model.diffusion_model.", "diffusion_model.")  # of checkpoints that were saved by ComfyUI or a trainer
LAYERS = "videodit_blocks.layers."
MAX_TENSORS = 100_000  # that stacked layers are taken apart into
STACKED = re.compile(r"videodit_blocks\.layers\.(?!\d)(.+)")
PACKED = "self_attention.linear_qkv.weight"  # MAGI-1.1: one matrix in place of four

DIFFUSERS = re.compile(
    r"condition_embedder\.[ty]_embedder\.|transformer_blocks\.\d+\.(self_attention\.|ada_modulate|self_attn_post|mlp)"
)
RENAMED = (
    ("condition_embedder.t_embedder.", "t_embedder."),
    ("condition_embedder.y_embedder.", "y_embedder."),
    ("transformer_blocks.", LAYERS),
    ("final_layernorm.", "videodit_blocks.final_layernorm."),
    ("final_linear.", "final_linear.linear."),
    ("encoder.position_embedding.", "encoder."),
    ("decoder.position_embedding.", "decoder."),
)
PROJECTION = re.compile(r"(.+\.linear_kv_xattn)\.projections\.(\d)\.weight")


@dataclass(frozen=True)
class Packing:
    """In which order the rows of MAGI-1.1's packed matrix are.

    order: "q", "qx", "k" and "v". by_group: the order repeats for every key/value group, with that group's share.
    """

    order: tuple[str, ...]
    by_group: bool = False


PACKING: Packing | None = None  # to be filled in when it is published; until then packed files are refused in words


@dataclass(frozen=True)
class Stored:
    """Where a tensor is: stored tensors, joined along their first axis where there are several.

    layer: entry of the first axis that is meant. rows: (start, stop) of the rows that are meant, joined.
    """

    names: tuple[str, ...]
    layer: int | None = None
    rows: tuple[tuple[int, int], ...] | None = None

    def header(self, stored: Mapping[str, TensorHeader]) -> TensorHeader:
        """Shape and dtype of the result."""
        parts = [stored[name] for name in self.names]
        if len(parts) == 1 and self.layer is None:
            return parts[0]
        shape = list(parts[0].shape if self.layer is None else parts[0].shape[1:])
        if len(parts) > 1:
            shape[0] = sum(part.shape[0] for part in parts)
        if self.rows is not None:
            shape[0] = sum(stop - start for start, stop in self.rows)
        return TensorHeader(tuple(shape), parts[0].dtype)

    def tensor(self, get: Callable[[str], Tensor]) -> Tensor:
        tensor = get(self.names[0]) if len(self.names) == 1 else torch.cat([get(name) for name in self.names])
        if self.layer is not None:
            tensor = tensor[self.layer]
        return tensor if self.rows is None else torch.cat([tensor[start:stop] for start, stop in self.rows])


def official(stored: Mapping[str, TensorHeader]) -> dict[str, Stored]:
    """Official name -> where it is, for the stored tensors of any known layout; others keep their names.

    Layers whose packing is not known stay stacked: `magi_core.weights.recognise` says so.
    """
    found: dict[str, Stored] = {}
    parts: dict[str, dict[int, str]] = {}
    for name, own in _renamed(stored).items():
        if match := PROJECTION.fullmatch(own):
            parts.setdefault(f"{match[1]}.weight", {})[int(match[2])] = name
        else:
            found[own] = Stored((name,))
    for own, numbered in parts.items():
        whole = sorted(numbered) == list(range(len(numbered))) and all(stored[name].shape for name in numbered.values())
        if whole and len({(stored[name].dtype, stored[name].shape[1:]) for name in numbered.values()}) == 1:
            found[own] = Stored(tuple(numbered[i] for i in sorted(numbered)))
        else:  # a part is missing: the check of all tensors names what is there
            found |= {name: Stored((name,)) for name in numbered.values()}
    return _unstacked(found, stored)


def official_names(stored: Iterable[str]) -> set[str]:
    """The same for names alone, as far as they tell: parts of a tensor keep their own."""
    return set(_renamed(stored).values())


def _renamed(stored: Iterable[str]) -> dict[str, str]:
    """Stored name -> name without a prefix and as in the official files. Beside names with a prefix, others are of
    other models in the same file, and left out."""
    names = list(stored)
    for prefix in PREFIXES:
        if any(name.startswith(prefix) for name in names):
            bare = {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}
            break
    else:
        bare = {name: name for name in names}
    if not any(DIFFUSERS.match(name) or ".position_embedding.cls_token" in name for name in bare.values()):
        return bare
    return {name: _from_diffusers(own) for name, own in bare.items()}


def _from_diffusers(name: str) -> str:
    return next((after + name[len(before) :] for before, after in RENAMED if name.startswith(before)), name)


def _unstacked(found: dict[str, Stored], stored: Mapping[str, TensorHeader]) -> dict[str, Stored]:
    """`found` with a tensor for every layer in place of stacked ones, where it is known how."""
    stacked = {name: match[1] for name in found if (match := STACKED.fullmatch(name))}
    headers = {name: stored[found[name].names[0]] for name in stacked}
    counts = {header.shape[0] if header.shape else 0 for header in headers.values()}
    if len(counts) != 1 or any(len(found[name].names) > 1 for name in stacked):
        return found
    (layers,) = counts
    packed = LAYERS + PACKED
    rows = packed_rows(headers) if packed in headers else {}
    if rows is None or not 1 <= layers * len(stacked) <= MAX_TENSORS:
        return found
    apart = {name: where for name, where in found.items() if name not in stacked}
    for name, own in stacked.items():
        names = found[name].names
        for i in range(layers):
            if name != packed:
                apart[f"{LAYERS}{i}.{own}"] = Stored(names, layer=i)
                continue
            for part, spans in rows.items():
                apart[f"{LAYERS}{i}.self_attention.linear_qkv.{part}.weight"] = Stored(names, i, spans)
    return apart


def packed_rows(headers: Mapping[str, TensorHeader]) -> dict[str, tuple[tuple[int, int], ...]] | None:
    """ "q", "qx", "k" and "v" -> their rows in the packed matrix [layers, 2 x width + 2 x K/V width, width].

    None where the packing is not known, or the sizes do not fit it.
    """
    norm, shape = f"{LAYERS}self_attention.q_layernorm.weight", headers[LAYERS + PACKED].shape
    if PACKING is None or norm not in headers or len(shape) != 3:
        return None
    _, height, width = shape
    kv, head = (height - 2 * width) // 2, headers[norm].shape[-1]
    groups = kv // head if PACKING.by_group and head else 1
    if kv < 1 or groups < 1 or width % groups or 2 * (width + kv) != height:
        return None
    share = {"q": width // groups, "qx": width // groups, "k": kv // groups, "v": kv // groups}
    rows: dict[str, tuple[tuple[int, int], ...]] = {}
    place = 0
    for _ in range(groups):
        for part in PACKING.order:
            rows[part] = (*rows.get(part, ()), (place, place + share[part]))
            place += share[part]
    return rows
