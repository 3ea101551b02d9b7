"""Rates are exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest

from magi_core.errors import MagiError
from magi_core.video import exact_fps


def test_broadcast_rates_are_their_exact_fractions():
    assert exact_fps(23.976) == Fraction(24000, 1001)
    assert exact_fps("29.97") == Fraction(30000, 1001)
    assert exact_fps(59.94) == Fraction(60000, 1001)
    assert exact_fps(24.0) == 24
    assert exact_fps(12.5) == Fraction(25, 2)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), "fast", "1/0", 5000, None])
def test_impossible_rates_are_refused(fps):
    with pytest.raises(MagiError, match="frames per second"):
        exact_fps(fps)
