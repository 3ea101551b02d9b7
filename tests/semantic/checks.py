"""Small films with fixed seeds, and what each of them says about one part of the engine."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import magi_core
from magi_core import Engine
from magi_core.story.chunk import ChunkSpec
from tools.nano.judging import look
from tools.nano.vocabulary import CHUNK_FRAMES, SIZE

ENGINES: dict[str, tuple[str, dict[str, object]]] = {"as shipped": ("nano", {}), "quick": ("nano-distill", {})}
"""Model and settings of the films; what is slow to break is broken in the quick one."""

SEED = 5
TOLD = {"colour": "pink", "shape": "square", "size": "big", "motion": "up", "background": "night"}
STORY = ("a big pink square moves up at night", "it turns green", "it moves right")
BORDERED = ChunkSpec("a big red circle stays still on a white background", special_tokens=("HQ", "BORDERNESS"))
RIM = 5  # pixels; the borders that nano learned are ten wide
JUMP = 8.0  # pixels from one frame to the next; nothing travels as fast, another place is mostly farther away


@dataclass(frozen=True)
class Score:
    """How much of what a check looks for is there, 0 to 1, and how much has to be."""

    value: float
    needed: float

    @property
    def passed(self) -> bool:
        return self.value >= self.needed


def load(name: str) -> Engine:
    """One of `ENGINES` on the CPU, remembering nothing of earlier films."""
    model, settings = ENGINES[name]
    return magi_core.load(model, device="cpu").with_settings(**settings)


def film(engine: Engine, chunks: int = 3) -> Tensor:
    """The first chunks of the story, [24 n, 128, 128, 3] uint8: two in one run, the third by a clean extend."""
    state = engine.extend(engine.begin(width=SIZE, height=SIZE, seed=SEED), list(STORY[: min(2, chunks)]))
    if chunks > 2:
        state = engine.extend(state, STORY[2], handoff="clean")
    return torch.cat(list(engine.decode(state)))


def bordered_film(engine: Engine) -> Tensor:
    """One chunk that asks for black borders by a special token."""
    state = engine.extend(engine.begin(width=SIZE, height=SIZE, seed=SEED), BORDERED)
    return torch.cat(list(engine.decode(state)))


def shows_its_prompt(frames: Tensor) -> Score:
    """The words of the first prompt, in the first chunk. One of five may be missed: shape is hard."""
    _, (seen, *_) = look(frames[:CHUNK_FRAMES])
    return Score(sum(seen[name] == word for name, word in TOLD.items()) / len(TOLD), needed=0.8)


def reads_its_own_text(frames: Tensor) -> Score:
    """The second chunk has the colour of the second prompt, the first that of the first."""
    _, (first, second, *_) = look(frames[: 2 * CHUNK_FRAMES])
    return Score(float(first["colour"] == "pink" and second["colour"] == "green"), needed=1.0)


def goes_on(frames: Tensor) -> Score:
    """What the second prompt leaves unsaid stays, within a run: shape, size, background, motion and place."""
    return _kept(frames[: 2 * CHUNK_FRAMES], ("shape", "size", "background", "motion"))


def remembers(frames: Tensor) -> Score:
    """What the third prompt leaves unsaid stays, across a clean extend: colour, shape, size, background, place."""
    return _kept(frames[CHUNK_FRAMES : 3 * CHUNK_FRAMES], ("colour", "shape", "size", "background"))


def has_borders(frames: Tensor) -> Score:
    """How dark the rim of the picture is, where the background is white."""
    rim = torch.ones(SIZE, SIZE, dtype=torch.bool)
    rim[RIM:-RIM, RIM:-RIM] = False
    return Score(1 - float(frames[:, rim].float().mean()) / 255, needed=0.6)


def _kept(frames: Tensor, names: tuple[str, ...]) -> Score:
    (before, after), (first, second) = look(frames)
    step = float((after.centre[0] - before.centre[-1]).norm())
    kept = [first[name] == second[name] != "lost" for name in names]
    return Score((sum(kept) + (step < JUMP)) / (len(kept) + 1), needed=0.8)
