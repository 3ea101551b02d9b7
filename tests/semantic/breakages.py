"""Mistakes on purpose, one per part of the engine that only a look at the video can vouch for."""

from __future__ import annotations

import pytest
import torch

from magi_core.sampling import asked, forward, window
from magi_core.sampling.guidance import PassWeights, pass_weights
from magi_core.sampling.pages import PageBook
from magi_core.state import PlacedChunk
from magi_core.text import conditioning


def guidance_ignores_the_text(patch: pytest.MonkeyPatch) -> None:
    """Only the pass without text counts."""
    patch.setattr(forward, "pass_weights", lambda guidance, t: PassWeights(text=0.0, previous=1.0, alone=0.0))


def guidance_mixes_up_the_passes(patch: pytest.MonkeyPatch) -> None:
    """The weights of the passes with and without text change places."""

    def swapped(guidance, t):
        weights = pass_weights(guidance, t)
        return PassWeights(text=weights.previous, previous=weights.text, alone=weights.alone)

    patch.setattr(forward, "pass_weights", swapped)


def cache_holds_nothing(patch: pytest.MonkeyPatch) -> None:
    """Finished chunks enter the KV cache as zeros."""
    add = PageBook.add

    def empty(self, index, page):
        add(self, index, page.map(torch.zeros_like))

    patch.setattr(PageBook, "add", empty)


def every_chunk_reads_the_first_text(patch: pytest.MonkeyPatch) -> None:
    texts = asked._texts
    patch.setattr(asked, "_texts", lambda of, state, new, said: texts(of, state, new, [said[0]] * len(said)))


def special_tokens_are_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(conditioning, "_prepend", lambda tokens, special, names: tokens)


def the_plan_shows_chunks_only_themselves(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(window, "attended", lambda index, step, settings, sight: (index, index + 1))


def cuts_are_no_walls(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PlacedChunk, "sight", property(lambda chunk: 0))
