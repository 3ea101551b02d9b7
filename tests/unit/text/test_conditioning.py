"""Special tokens stand before the caption, and share its room."""

from __future__ import annotations

import pytest
import torch

from magi_core.errors import MagiError
from magi_core.text import assemble_null, assemble_text
from tests.unit.text.token_rows import tokens


def test_tokens_stand_before_the_caption_in_the_reference_order() -> None:
    special, caption = tokens(), torch.full((3, 4), 0.5)
    names = ("HQ", "TWO_D_ANIME", "STATIC_FIRST_FRAMES", "THREE_D_MODEL", "DYNAMIC_FIRST_FRAMES", "BORDERNESS")
    order = ["DURATION_8", "TWO_D_ANIME", "THREE_D_MODEL", "HQ", "BORDERNESS", "DYNAMIC_FIRST_FRAMES"]
    text = assemble_text(caption, special, names, 99, 800)
    expected = torch.stack([special.get(name) for name in [*order, "STATIC_FIRST_FRAMES"]])
    assert torch.equal(text, torch.cat([expected, caption]))


def test_a_full_caption_loses_its_end_to_the_special_tokens() -> None:
    caption = torch.arange(10.0)[:, None].repeat(1, 4)
    text = assemble_text(caption, tokens(), ("HQ",), 1, 10)
    assert text.shape == (10, 4)
    assert torch.equal(text[2:], caption[:8])


def test_switched_off_special_tokens_leave_the_caption_as_it_is() -> None:
    caption = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(assemble_text(caption, None, ("HQ",), 3, 800), caption)
    assert torch.equal(assemble_null(caption, None, ("LOGO",)), caption)


def test_text_keeps_its_own_number_format() -> None:
    assert assemble_text(torch.zeros(2, 4, dtype=torch.bfloat16), tokens(), ("HQ",), 1, 800).dtype == torch.bfloat16


def test_an_empty_text_is_not_assembled_and_durations_start_at_one() -> None:
    with pytest.raises(ValueError, match="assemble_null"):
        assemble_text(torch.empty(0, 4), tokens(), ("HQ",), 1, 800)
    with pytest.raises(MagiError, match="at least 1: 0"):
        assemble_text(torch.zeros(2, 4), tokens(), (), 0, 800)
