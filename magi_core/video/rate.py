"""Frame rates, exact."""

from __future__ import annotations

from fractions import Fraction

from magi_core.errors import MagiError, echo

NTSC = tuple(Fraction(base * 1000, 1001) for base in (24, 30, 48, 60, 120))


MIN_FPS, MAX_FPS = 0.1, 1000
MOST_LETTERS = 40


def exact_fps(fps: float | str | Fraction) -> Fraction:
    """The rate as a fraction; 23.976, 29.97, 59.94 and the like mean their exact NTSC rates (24000/1001, ...)."""
    try:
        if isinstance(fps, str) and (len(fps) > MOST_LETTERS or "e" in fps.lower()):  # an exponent makes any size
            raise ValueError
        rate = Fraction(fps)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        raise MagiError(f"frames per second must be a number such as 24, 23.976 or 24000/1001: {echo(fps)}") from None
    if not MIN_FPS <= rate <= MAX_FPS:
        raise MagiError(f"frames per second must be between {MIN_FPS} and {MAX_FPS}: {echo(fps, quoted=False)}")
    near = [ntsc for ntsc in NTSC if abs(rate - ntsc) < Fraction(5, 1000)]
    return near[0] if near else rate.limit_denominator(1001)
