"""Make the saved take that an example workflow goes on with: `python -m tools.example_take`.

Make it again when nano's weights change: a take remembers which model made it. (`python -m tools.example_inputs` draws
the other examples.)
"""

from __future__ import annotations

from dataclasses import replace

import magi_core
from magi_core.story.storyboard import parse_storyboard
from tools.example_inputs import FOLDER

TAKE = FOLDER / "magi_example_take.magi"
MODEL, SIDE, SEED = "nano-distill", 128, 7
STORY = """
0: a big blue triangle moves right on a white background
1: it turns red
2: it stops
"""


def main() -> None:
    engine = magi_core.load(MODEL)
    take = engine.extend(engine.begin(width=SIDE, height=SIDE, seed=SEED), parse_storyboard(STORY))
    replace(take, frontier=None).save(TAKE)  # finished chunks only: small, and enough for handoff "clean"


if __name__ == "__main__":
    main()
