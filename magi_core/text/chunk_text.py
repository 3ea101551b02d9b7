"""From prompts and settings to the text that each chunk's cross-attention reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from magi_core.config import SamplingSettings
from magi_core.digest import digest
from magi_core.errors import MagiError
from magi_core.text.conditioning import PromptEmbedding, assemble_null, assemble_text
from magi_core.text.special_tokens import MAX_DURATION, SpecialTokens

Prompt = str | PromptEmbedding


class Encoder(Protocol):
    """What turns prompts into embeddings: `magi_core.text.TextEncoder`, or a stand-in."""

    def encode(self, prompt: str) -> PromptEmbedding: ...

    def origin(self, prompt: str) -> str:
        """Digest of all that `encode(prompt)` depends on, or "" where that is not known without encoding."""
        ...


@dataclass(frozen=True, eq=False)
class ChunkText:
    """tokens: [L, caption channels] float32 on the CPU, visible tokens only, special tokens included.
    key: digest of what they are made of."""

    tokens: Tensor
    key: str

    @property
    def most_tokens(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, eq=False)
class AskedText:
    """A chunk's text before any prompt is encoded.

    names: special tokens in front. duration: chunks to come that are announced, or None. key: of the text it becomes.
    texts: those that can read it.
    """

    prompt: Prompt
    names: tuple[str, ...]
    duration: int | None
    key: str
    texts: ChunkTexts

    @property
    def most_tokens(self) -> int:
        """No more tokens than this come of it: a prompt that is not encoded yet has at most one for every letter, one
        in front and one behind."""
        prompt = self.prompt
        if isinstance(prompt, PromptEmbedding) and prompt.is_null:
            return len(self.texts.null_embedding)
        own = len(prompt.tokens) if isinstance(prompt, PromptEmbedding) else len(prompt) + 2
        return own + len(self.names) + (self.duration is not None)

    def read(self, settings: SamplingSettings) -> ChunkText:
        """The text itself; a prompt that is not encoded yet goes through the text encoder."""
        return self.texts.read(self, settings)


class ChunkTexts:
    """Encodes prompts once each and puts special tokens in front.

    null: the model's learned null text [max_length, C] float32 on the CPU.
    """

    def __init__(self, encoder: Encoder | None, special: SpecialTokens | None, null: Tensor) -> None:
        self.encoder, self.special, self.null_embedding = encoder, special, null

    def encode(self, prompt: Prompt) -> PromptEmbedding:
        """The prompt through the text encoder; already encoded prompts pass through."""
        if isinstance(prompt, PromptEmbedding):
            return prompt
        return self._encoder.encode(prompt)

    def ask(
        self, settings: SamplingSettings, prompt: Prompt, to_come: int | None, names: Sequence[str] | None = None
    ) -> AskedText:
        """The text of a chunk with `to_come` chunks still to come, itself included (None: no end announced).

        names: special tokens of this chunk; None takes the prompt's, or else the settings'. Nothing is encoded, unless
        the encoder cannot tell what its result depends on. Raises `MagiError` where the text cannot be made.
        """
        if isinstance(prompt, str) and not self._encoder.origin(prompt):
            prompt = self._encoder.encode(prompt)
        own = prompt.special_tokens if isinstance(prompt, PromptEmbedding) else None
        names = tuple(next(given for given in (names, own, settings.special_tokens) if given is not None))
        duration = None
        if settings.duration_tokens:
            duration = MAX_DURATION if to_come is None else max(1, min(MAX_DURATION, to_come))
        source = prompt.key if isinstance(prompt, PromptEmbedding) else self._encoder.origin(prompt)
        special = self._special(bool(names or duration))
        prepended = (sorted(names), duration, special.key if special and (names or duration) else "")
        key = digest("text", source, prepended, settings.negative_tokens)
        return AskedText(prompt, names, duration, key, self)

    def read(self, asked: AskedText, settings: SamplingSettings) -> ChunkText:
        """The text itself; a prompt that is not encoded yet goes through the text encoder."""
        prompt = self.encode(asked.prompt)
        if prompt.is_null:
            return ChunkText(self.null(settings).tokens, asked.key)
        special = self._special(bool(asked.names or asked.duration))
        length = len(self.null_embedding)
        return ChunkText(assemble_text(prompt.tokens, special, asked.names, asked.duration, length), asked.key)

    def null(self, settings: SamplingSettings) -> ChunkText:
        """The null text with the settings' negative tokens."""
        negative = settings.negative_tokens
        special = self._special(bool(negative))
        tokens = assemble_null(self.null_embedding, special, negative)
        return ChunkText(tokens, digest("null text", negative, special.key if special and negative else ""))

    @property
    def _encoder(self) -> Encoder:
        if self.encoder is None:
            raise MagiError(
                "this engine has no text encoder, which reads prompts: `python -m magi_core models FOLDER` says "
                "where to get it; in Python, encoded prompts do without"
            )
        return self.encoder

    def _special(self, wanted: bool) -> SpecialTokens | None:
        """Special tokens, or None where none are `wanted` and there are none."""
        if wanted and self.special is None:
            raise MagiError(
                "special tokens are switched on, but there are none: put special_tokens.npz beside the model, or do "
                "without: switch off high_quality in Magi Text Encode (on the lines of a storyboard: [tokens none]) "
                "and duration_tokens in Magi Chunk Sampler, with any other switch beside these"
            )
        return self.special
