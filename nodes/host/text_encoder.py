"""Two ways to a text encoder in ComfyUI: a T5 folder in ComfyUI's hands, and the CLIP that a core loader made.

Both share `magi_core`'s way from a prompt to its embedding (cleaning, tokens, cutting, notes); only what turns token
ids into hidden states differs.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import comfy.ops
import comfy.sd
import torch
from comfy.text_encoders.t5 import T5
from torch import Tensor

from magi_core.errors import MagiError
from magi_core.text import T5Parts, TextEncoder, Tokenizer
from magi_core.text.memory import t5_bytes

from .device import Devices
from .patcher import Patcher, have_room, in_patcher, weights_that_move

KEY = "t5xxl"
WAY_OUT = "choose type 'mochi' or 'ltxv' in Load CLIP, with a t5xxl file, or use Magi Load Text Encoder"


class PlacedT5:
    """T5 with ComfyUI's layers, read when it is first needed. Hidden states are float32, as ComfyUI and the reference
    run it."""

    def __init__(self, parts: T5Parts, devices: Devices) -> None:
        self.parts, self.devices = parts, devices

    @cached_property
    def patcher(self) -> Patcher:
        with weights_that_move():
            model = _empty_model(self.parts)
            model.load_state_dict(self.parts.read(), assign=True)
            return in_patcher(model.eval().requires_grad_(False), self.devices)

    @property
    def channels(self) -> int:
        return self.parts.config.d_model

    @property
    def dtype(self) -> torch.dtype:
        return self.parts.dtype

    @property
    def device(self) -> torch.device:
        return self.devices.load

    def __call__(self, ids: list[int]) -> Tensor:
        config, patcher = self.parts.config, self.patcher
        shape = {"width": config.d_model, "inner": config.d_ff, "heads": config.num_heads}
        have_room(patcher, t5_bytes(len(ids), **shape))
        batch = torch.tensor([ids], device=patcher.load_device)
        return patcher.model(batch, None, dtype=torch.float32)[0][0]


def _empty_model(parts: T5Parts) -> T5:
    """The encoder without weights. Raises `MagiError` for one that counts positions otherwise than ComfyUI's."""
    config = parts.config
    settings = {name: getattr(config, name) for name in ("num_layers", "d_model", "d_kv", "num_heads", "d_ff")}
    settings |= {"vocab_size": config.vocab_size, "model_type": config.model_type}
    settings |= {"is_gated_act": config.is_gated_act, "dense_act_fn": _activation(config.dense_act_fn)}
    model = T5(settings, parts.dtype, torch.device("meta"), comfy.ops.manual_cast)
    first = model.encoder.block[0].layer[0].SelfAttention  # the one that holds the positions of all
    if config.relative_attention_num_buckets != first.relative_attention_num_buckets:
        raise MagiError("this T5 counts positions differently from T5-v1.1: use the one that MAGI-1 is published with")
    first.relative_attention_max_distance = config.relative_attention_max_distance
    return model


class ClipT5:
    """The T5-XXL inside a core CLIP. Raises `MagiError` for one that does not mask padding."""

    def __init__(self, clip: Any, channels: int) -> None:
        self.clip, self._channels = clip, channels

    @property
    def channels(self) -> int:
        return self._channels

    @property
    def dtype(self) -> torch.dtype:
        dtypes: Any = self.clip.cond_stage_model.dtypes
        return next(iter(dtypes), torch.float32)

    @property
    def device(self) -> torch.device:
        return self.clip.patcher.load_device

    def __call__(self, ids: list[int]) -> Tensor:
        out = self.clip.encode_from_tokens({KEY: [[(token, 1.0) for token in ids]]}, return_dict=True)
        if "attention_mask" not in out:
            raise MagiError(
                f"this CLIP's type lets T5 look at the padding of a prompt, which MAGI must not see: {WAY_OUT}"
            )
        visible = out["attention_mask"].flatten().bool().to(out["cond"].device)
        return out["cond"].flatten(0, 1)[visible]


def placed_text_encoder(parts: T5Parts, devices: Devices, max_length: int) -> TextEncoder:
    """A T5 folder in ComfyUI's hands."""
    return TextEncoder(PlacedT5(parts, devices), parts.tokenizer, max_length, parts.identity, keeps=parts.large)


def clip_text_encoder(clip: Any, max_length: int = 800) -> TextEncoder:
    """A core CLIP. Raises `MagiError` for one that is not T5-XXL alone."""
    tokens = clip.tokenize("")
    if set(tokens) != {KEY}:
        found = " and ".join(tokens) or "nothing"
        raise MagiError(f"this CLIP reads prompts with {found}, not with T5-XXL alone: {WAY_OUT}")
    own = next(part for part in vars(clip.tokenizer).values() if getattr(part, "embedding_key", None) == KEY)
    return TextEncoder(ClipT5(clip, own.embedding_size), _tokenizer(own), max_length)


def text_encoder_of(wire: Any, *, clean: bool = True) -> TextEncoder:
    """What came in: MAGI's own text encoder as it is, a CLIP wrapped. clean: False leaves prompts as they are typed."""
    encoder = clip_text_encoder(wire) if isinstance(wire, comfy.sd.CLIP) else wire
    return encoder if clean else encoder.as_typed()


def _tokenizer(own: Any) -> Tokenizer:
    """The CLIP's own T5 tokenizer. Weights in brackets, and "embedding:" in a prompt, mean nothing to MAGI."""

    def pieces(text: str) -> list[int]:
        return own.tokenizer(text, add_special_tokens=False)["input_ids"]

    return Tokenizer(pieces, own.end_token, len(own.inv_vocab), getattr(own.tokenizer, "unk_token_id", None))


def _activation(name: str) -> str:
    """The name by which ComfyUI knows transformers' activation."""
    return "gelu_pytorch_tanh" if name == "gelu_new" else name
