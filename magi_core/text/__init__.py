"""Text: caption cleaning, the T5 encoder, special tokens, and what each chunk reads as its text."""

from magi_core.text.cleaning import clean_caption, prepare_caption
from magi_core.text.conditioning import PromptEmbedding, assemble_null, assemble_text
from magi_core.text.special_tokens import SPECIAL_TOKEN_NAMES, SpecialTokens, load_special_tokens
from magi_core.text.t5 import T5Parts, TextEncoder, load_text_encoder, read_t5
from magi_core.text.tokenizer import Tokenizer

__all__ = [
    "SPECIAL_TOKEN_NAMES",
    "PromptEmbedding",
    "SpecialTokens",
    "T5Parts",
    "TextEncoder",
    "Tokenizer",
    "assemble_null",
    "assemble_text",
    "clean_caption",
    "load_special_tokens",
    "load_text_encoder",
    "prepare_caption",
    "read_t5",
]
