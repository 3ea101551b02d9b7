"""From prompts and settings to the text that each chunk's cross-attention reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from magi_core.config import SamplingSettings
from magi_core.errors import MagiError
from magi_core.text.conditioning import PromptEmbedding, assemble_null, assemble_text
from magi_core.text.special_tokens import MAX_DURATION, SpecialTokens

if TYPE_CHECKING:
    from magi_core.text.t5 import TextEncoder

Prompt = str | PromptEmbedding


class ChunkTexts:
    """Encodes prompts once each and puts special tokens in front.

    null: the model's learned null text [max_length, C] float32 on the CPU.
    """

    def __init__(self, encoder: TextEncoder | None, special: SpecialTokens | None, null: Tensor) -> None:
        self.encoder, self.special, self.null_embedding = encoder, special, null

    def encode(self, prompt: Prompt) -> PromptEmbedding:
        """The prompt through the text encoder; already encoded prompts pass through."""
        if isinstance(prompt, PromptEmbedding):
            return prompt
        if self.encoder is None:
            raise MagiError("this engine has no text encoder: load one, or pass encoded prompts")
        return self.encoder.encode(prompt)

    def of_chunk(
        self,
        settings: SamplingSettings,
        prompt: PromptEmbedding,
        to_come: int | None,
        names: Sequence[str] | None = None,
    ) -> Tensor:
        """[L, C] text of a chunk with `to_come` chunks still to come, itself included (None: no end announced).

        names: special tokens of this chunk; None takes the prompt's, or else the settings'.
        """
        if prompt.is_null:
            return self.null(settings)
        names = prompt.special_tokens if names is None else names
        names = settings.special_tokens if names is None else names
        duration = None
        if settings.duration_tokens:
            duration = MAX_DURATION if to_come is None else max(1, min(MAX_DURATION, to_come))
        special = self._special(bool(names or duration))
        return assemble_text(prompt.tokens, special, names, duration, len(self.null_embedding))

    def null(self, settings: SamplingSettings) -> Tensor:
        """[L, C] null text with the settings' negative tokens."""
        negative = settings.negative_tokens
        return assemble_null(self.null_embedding, self._special(bool(negative)), negative)

    def _special(self, wanted: bool) -> SpecialTokens | None:
        """Special tokens, or None where none are `wanted` and there are none."""
        if wanted and self.special is None:
            raise MagiError(
                "special tokens are switched on, but there are none: put special_tokens.npz beside the model, or do "
                "without: switch off high_quality in Magi Text Encode (on the lines of a storyboard: [tokens none]) "
                "and duration_tokens in Magi Chunk Sampler, with any other switch beside these"
            )
        return self.special
