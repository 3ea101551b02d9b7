"""What the transformer reads as the text of one chunk: prompt embedding plus special tokens, or the null text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.text.special_tokens import MAX_DURATION, SpecialTokens

NULL_TEXT_LENGTH = 50  # visible positions of the null text, whatever is prepended to it

# Each token is put in front of everything before it, so the text a model sees starts with the last of these.
_PREPENDING_ORDER: tuple[str, ...] = (
    "CAPTION",
    "LOGO",
    "TRANS",
    "STATIC_FIRST_FRAMES",
    "DYNAMIC_FIRST_FRAMES",
    "BORDERNESS",
    "HQ",
    "THREE_D_MODEL",
    "TWO_D_ANIME",
)


@dataclass(frozen=True, eq=False)
class PromptEmbedding:
    """A prompt as the T5 encoder understands it.

    tokens: [L, C] fp32 on the CPU, visible tokens only, the end token last. L = 0 stands for the null text.
    notes: what the artist should know ("prompt cut to 800 tokens").
    special_tokens: names to prepend to this prompt; None takes those of the sampling settings.
    origin: digest of what it was made from (words and encoder), or "" where that is not known.
    """

    prompt: str
    tokens: Tensor
    notes: tuple[str, ...] = ()
    special_tokens: tuple[str, ...] | None = None
    origin: str = ""

    @cached_property
    def key(self) -> str:
        """Digest of its tokens by where they come from, or else of the numbers, once."""
        return self.origin or digest("prompt", self.tokens)

    @property
    def is_null(self) -> bool:
        return self.tokens.shape[0] == 0


def assemble_text(
    tokens: Tensor, special: SpecialTokens | None, names: Sequence[str], duration: int | None, max_length: int
) -> Tensor:
    """Text of one chunk: `[duration, 2-D, 3-D, HQ, borderness, dynamic, static, *tokens]` cut to `max_length`.

    tokens: [L, C], L >= 1 (an empty prompt is the null text: `assemble_null`).
    special: None leaves all special tokens out.
    names: which tokens to prepend, in any order; names that do not exist are ignored, as in the reference.
    duration: chunks still to come, this one included; more than 8 count as 8; None leaves the token out.
    Returns [min(L + tokens prepended, max_length), C] in the dtype and on the device of `tokens`.
    Source: reference `prompt_process.py`.
    """
    if tokens.shape[0] == 0:
        raise ValueError("no tokens: an empty prompt is the null text, see assemble_null")
    if duration is not None and duration < 1:
        raise MagiError(f"the number of chunks to come counts the chunk itself, so it is at least 1: {duration}")
    front = [] if duration is None else [f"DURATION_{min(duration, MAX_DURATION)}"]
    front += [name for name in reversed(_PREPENDING_ORDER) if name in names]
    return _prepend(tokens, special, front)[:max_length]


def assemble_null(null_embedding: Tensor, special: SpecialTokens | None, negative_names: Sequence[str]) -> Tensor:
    """The null text: learned embedding [N, C] with negative tokens in front, its first 50 positions.

    Negative tokens push learned positions out, they do not lengthen the text. Returns [min(N, 50), C].
    """
    front = [name for name in reversed(_PREPENDING_ORDER) if name in negative_names]
    return _prepend(null_embedding, special, front)[: min(NULL_TEXT_LENGTH, null_embedding.shape[0])]


def _prepend(tokens: Tensor, special: SpecialTokens | None, names: Sequence[str]) -> Tensor:
    """`tokens` [L, C] behind the special tokens `names`, the first of them foremost."""
    if special is None or not names:
        return tokens
    if special.channels != tokens.shape[1]:
        raise MagiError(
            f"the special tokens have {special.channels} channels, the text has {tokens.shape[1]}: use the "
            "special_tokens.npz that belongs to this model, or switch the special tokens off"
        )
    front = torch.stack([special.get(name) for name in names])
    return torch.cat([front.to(tokens), tokens])
