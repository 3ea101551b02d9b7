"""The T5 text encoder: an official `t5-v1_1-xxl` folder (or a small one of the same layout) and prompts through it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.text.cleaning import check_prompt, prepare_caption, whole_letters
from magi_core.text.conditioning import PromptEmbedding
from magi_core.text.kept import keep, kept
from magi_core.text.reading import lost_in_cleaning, unknown_words, words_of
from magi_core.text.t5_config import read_config
from magi_core.text.tokenizer import Tokenizer, load_tokenizer
from magi_core.weights.find import tokenizer_folder
from magi_core.weights.places import TOKENIZER_FILES

if TYPE_CHECKING:
    from transformers import T5EncoderModel

LARGE = 100_000_000  # parameters
EMBEDDING = "shared.weight"
EMBEDDING_ALIAS = "encoder.embed_tokens.weight"  # the same tensor; files hold either name or both


class HiddenStates(Protocol):
    """A T5: token ids to the last layer's hidden states [L, channels]. device: where it works."""

    @property
    def channels(self) -> int: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def device(self) -> torch.device: ...
    def __call__(self, ids: list[int]) -> Tensor: ...


class PlainT5:
    """transformers' T5, read when it is first needed. It may be moved between devices from outside."""

    def __init__(self, parts: T5Parts, device: torch.device) -> None:
        self.parts, self._device = parts, device

    @cached_property
    def model(self) -> T5EncoderModel:
        model, state = empty_model(self.parts.config), self.parts.read()
        model.load_state_dict(state | {EMBEDDING_ALIAS: state[EMBEDDING]}, assign=True)
        return model.requires_grad_(False).eval()

    @property
    def channels(self) -> int:
        return self.parts.config.d_model

    @property
    def dtype(self) -> torch.dtype:
        return self.parts.dtype

    @property
    def device(self) -> torch.device:
        return self.model.device if "model" in vars(self) else self._device

    def __call__(self, ids: list[int]) -> Tensor:
        batch = torch.tensor([ids], device=self.model.device)
        return self.model(input_ids=batch).last_hidden_state[0]


class TextEncoder:
    """Prompts to embeddings.

    identity: digest that names weights and tokenizer, or "" where nothing does. keeps: embeddings go into the user's
    own folder, and come from there (`text.kept`).
    """

    clean = True

    def __init__(
        self,
        states: HiddenStates,
        tokenizer: Tokenizer,
        max_length: int = 800,
        identity: str = "",
        *,
        keeps: bool = False,
    ) -> None:
        self.states, self.tokenizer, self.max_length = states, tokenizer, max_length
        self.identity, self.keeps = identity, keeps and bool(identity)

    @property
    def channels(self) -> int:
        return self.states.channels

    @property
    def dtype(self) -> torch.dtype:
        return self.states.dtype

    def as_typed(self) -> TextEncoder:
        """The same encoder for prompts as they are typed, without the cleaning that captions had in training."""
        other = copy.copy(self)
        other.clean = False
        return other

    def caption(self, prompt: str) -> str:
        """What the tokenizer gets to see."""
        if self.clean:
            return prepare_caption(prompt)
        check_prompt(prompt)
        return " ".join(whole_letters(prompt).split())

    def origin(self, prompt: str) -> str:
        """Digest of what the embedding of `prompt` depends on: the words after cleaning, and the encoder."""
        if not self.identity:
            return ""
        return digest("prompt", self.identity, self.dtype, self.max_length, self.caption(prompt))

    @torch.no_grad()
    def encode(self, prompt: str) -> PromptEmbedding:
        """The prompt, cleaned as in training, as embeddings [L, channels], fp32 on the CPU, 0 <= L <= max_length.

        The reference pads to `max_length` and masks the padding; T5's positions are relative, so leaving the padding
        out gives the same visible tokens at a fraction of the cost. Longer prompts keep their start and the end token.
        A prompt that is empty, or of which cleaning leaves nothing, gives L = 0 (null text) and a note. So do
        words that are lost on the way: the note says what the model reads.
        """
        caption = self.caption(prompt)
        ids = self.tokenizer.ids(caption)
        if len(ids) == 1:
            reason = "nothing is left of the prompt after cleaning" if prompt.strip() else "empty prompt"
            note = f"{reason}: renders as null text"
            return PromptEmbedding(prompt, torch.empty(0, self.channels), (note,), origin=self.origin(prompt))
        notes = self._lost(prompt, caption)
        if len(ids) > self.max_length:
            notes += (f"prompt cut to {self.max_length} tokens (it has {len(ids)})",)
            ids = [*ids[: self.max_length - 1], ids[-1]]
        return PromptEmbedding(prompt, self._tokens(ids, prompt), notes, origin=self.origin(prompt))

    def _tokens(self, ids: list[int], prompt: str) -> Tensor:
        """[L, channels] float32 on the CPU, from what is kept or made now."""
        name = f"{self.origin(prompt)} {self.states.device.type}"
        known = kept(name, self.channels) if self.keeps else None
        if known is not None:
            return known
        tokens = self.states(ids).float().cpu()
        if not tokens.isfinite().all():
            raise MagiError(
                f"the text encoder gave numbers that are not finite in {self.dtype}: its weights are damaged, or "
                "this number format is too small for them (bfloat16 and float32 are not)"
            )
        if self.keeps:
            keep(name, tokens)
        return tokens

    def _lost(self, prompt: str, caption: str) -> tuple[str, ...]:
        """Notes on words that the model does not get to see."""
        cleaned = lost_in_cleaning(prompt, caption) if self.clean else ""
        return tuple(filter(None, [cleaned, unknown_words(self.tokenizer.unreadable(words_of(caption)))]))


@dataclass(frozen=True, eq=False)
class T5Parts:
    """A T5 folder whose headers were checked. config: its `T5Config`. dtype: that its weights come in.

    identity: digest of weights (as `magi_core.weights.fingerprint`), configuration and tokenizer. large: so that it
    takes longer to load than its embeddings take to read. read: the tensors by transformers' names, without aliases;
    raises `MagiError` for damaged ones.
    """

    config: Any
    tokenizer: Tokenizer
    dtype: torch.dtype
    identity: str
    large: bool
    read: Callable[[], dict[str, Tensor]]


def load_text_encoder(
    folder: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str = torch.float32,
    max_length: int = 800,
    channels: int | None = None,
) -> TextEncoder:
    """Opens a T5 folder: config.json, tokenizer and weights, without keeping a second copy of the weights.

    Weights are read for the first prompt that is not kept (`text.kept`, large encoders only).

    dtype: the reference uses float32. "fp32", "bf16" and "auto" (bfloat16, small encoders on the CPU float32) are
    understood too. In float16 the `wo` layers stay float32, where T5 overflows otherwise. On the CPU, weights stored
    in `dtype` stay memory-mapped.
    channels: width of the video model's text input; an encoder of another width is an error.
    Raises `MagiError` before reading weights for a folder that is not a T5 or lacks a file, and for weights that do
    not fit; with the first prompt for those that are damaged.
    """
    parts = read_t5(folder, device=device, dtype=dtype, channels=channels)
    states = PlainT5(parts, torch.device(device))
    return TextEncoder(states, parts.tokenizer, max_length, parts.identity, keeps=parts.large)


def read_t5(
    folder: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str = torch.float32,
    compute: torch.device | str | None = None,
    channels: int | None = None,
) -> T5Parts:
    """What `load_text_encoder` builds on, for hosts that bring the model's code themselves; arguments and errors as
    there. compute: the device that "auto" chooses a number format for, where it is not the one the weights go to."""
    folder = Path(folder)
    config = read_config(folder)
    if channels is not None and config.d_model != channels:
        raise MagiError(
            f"the text encoder in {folder} gives {config.d_model} channels, but this video model reads text of "
            f"{channels} channels: choose the text encoder that belongs to the model"
        )
    tokenizer = load_tokenizer(tokenizer_folder(folder))
    if tokenizer.size > config.vocab_size:
        raise MagiError(
            f"the tokenizer in {folder} has {tokenizer.size} tokens, the model only {config.vocab_size}: they are of "
            "different models, download the folder again"
        )
    model, device = empty_model(config), torch.device(device)
    if isinstance(dtype, str):
        from magi_core.weights import pick_dtype

        dtype = pick_dtype(dtype, torch.device(compute or device), model.num_parameters())
    read, large = _reading(folder, model, device, dtype), model.num_parameters() > LARGE
    return T5Parts(config, tokenizer, dtype, _identity(folder, config), large, read)


def empty_model(config: Any) -> T5EncoderModel:
    """The encoder, built without memory."""
    from transformers import T5EncoderModel

    with torch.device("meta"):
        return T5EncoderModel(config)


def _reading(
    folder: Path, model: T5EncoderModel, device: torch.device, dtype: torch.dtype
) -> Callable[[], dict[str, Tensor]]:
    """What reads the tensors of `model` from the files, one by one, now that they are known to fit."""
    from magi_core.weights import check_state_dict, read_sound, read_tensors

    expected = {name: tuple(t.shape) for name, t in model.state_dict().items() if name != EMBEDDING_ALIAS}
    stored = read_tensors(folder)
    source = {name: name for name in stored if name in expected or name.startswith("encoder.")}
    if EMBEDDING_ALIAS in source:
        del source[EMBEDDING_ALIAS]
        source.setdefault(EMBEDDING, EMBEDDING_ALIAS)
    check_state_dict(expected, {name: stored.headers[key].shape for name, key in source.items()}, folder)
    own = {key: name for name, key in source.items()}

    def read() -> dict[str, Tensor]:
        state, _ = read_sound(stored, own, lambda key, tensor: _convert(own[key], tensor, device, dtype))
        return {own[key]: tensor for key, tensor in state.items()}

    return read


def _identity(folder: Path, config: Any) -> str:
    """What an embedding depends on beside the words. Of the tokenizer's files each is read whole: they are small."""
    from magi_core.weights import fingerprint

    files = [path for path in map(tokenizer_folder(folder).joinpath, TOKENIZER_FILES) if path.is_file()]
    return digest(fingerprint(folder), config.to_json_string(), *(path.read_bytes() for path in files))


def _convert(name: str, tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    keep_wide = dtype == torch.float16 and name.endswith(".wo.weight")
    return tensor.to(device, torch.float32 if keep_wide else dtype)
