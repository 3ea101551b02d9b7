"""Make the picture of docs/second_pass.md, two films at five strengths: `python -m tools.second_pass_picture`.

Make it again when nano's weights change.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

import magi_core
from magi_core import Engine

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "second_pass.jpg"
MODEL, SIDE = "nano-distill", 128
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHOWN, SHOWN_SIDE, GAP = 6, 80, 8  # pictures of a film, their pixels, and those between two films
QUALITY = 92


@dataclass(frozen=True)
class Film:
    """What is said at first, of which `was` is told to be `now`, and in every later second."""

    first: str
    later: str
    was: str
    now: str
    chunks: int
    seed: int

    def prompts(self) -> list[str]:
        return [self.first, *[self.later] * (self.chunks - 1)]

    def told(self) -> list[str]:
        return [prompt.replace(self.was, self.now) for prompt in self.prompts()]


FILMS = (
    Film("a big red star moves right by day in the rain", "it keeps moving right", "by day", "at night", 4, 21),
    Film("a big yellow circle bounces at night in the snow", "it keeps bouncing", "yellow", "pink", 4, 22),
)


def main() -> None:
    engine = magi_core.load(MODEL)
    left, right = (strip(engine, film) for film in FILMS)
    sheet = Image.new("RGB", (left.width + GAP + right.width, left.height), "white")
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + GAP, 0))
    sheet.save(PICTURE, quality=QUALITY)
    print(f"wrote {PICTURE}")


def strip(engine: Engine, film: Film) -> Image.Image:
    """A row of pictures, at even distances over the whole film, for every strength."""
    take = engine.extend(engine.begin(width=SIDE, height=SIDE, seed=film.seed), film.prompts())
    sheet = Image.new("RGB", (SHOWN * SHOWN_SIDE, len(STRENGTHS) * SHOWN_SIDE))
    for row, strength in enumerate(STRENGTHS):
        begun = engine.begin(width=SIDE, height=SIDE, seed=film.seed + 500)
        made = engine.extend(begun, film.told(), source=take, strength=strength)
        frames = torch.cat(list(engine.decode(made)))
        for column, index in enumerate(torch.linspace(0, len(frames) - 1, SHOWN).round().int().tolist()):
            picture = Image.fromarray(frames[index].numpy())
            small = picture.resize((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
            sheet.paste(small, (column * SHOWN_SIDE, row * SHOWN_SIDE))
    return sheet


if __name__ == "__main__":
    main()
