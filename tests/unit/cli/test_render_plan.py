"""How long a video gets, and which chunk has which prompt."""

from __future__ import annotations

from fractions import Fraction

import pytest

from magi_core.cli.render_plan import Length, plan_length, spread_prompts
from magi_core.errors import MagiError


@pytest.mark.parametrize(
    ("seconds", "chunks", "fps", "given", "expected"),
    [
        (None, None, 24, 0, Length(3, 72)),
        (None, 5, 24, 0, Length(5, 120)),
        ("2", None, 24, 0, Length(2, 48)),
        ("2.5", None, 24, 0, Length(3, 60)),
        ("2", None, 12, 0, Length(1, 24)),
        ("1", None, Fraction(24000, 1001), 0, Length(1, 24)),
        (None, 1, 24, 24, Length(1, 48)),
        (None, 1, 24, 32, Length(1, 48)),
        ("1", None, 24, 32, Length(2, 56)),
        ("1", None, 24, 30, Length(2, 54)),
        ("0.5", None, 24, 1, Length(1, 13)),
    ],
)
def test_lengths(seconds, chunks, fps, given, expected):
    assert plan_length(3, seconds, chunks, Fraction(fps), given) == expected


@pytest.mark.parametrize("chunks", range(3, 12))
def test_prompts_are_spread_evenly_and_in_order(chunks):
    shares = [spread_prompts(["a", "b", "c"], chunks).prompts.count(prompt) for prompt in "abc"]
    assert sum(shares) == chunks and max(shares) - min(shares) <= 1
    with pytest.raises(MagiError):
        spread_prompts(["a", "b", "c"], 2)
