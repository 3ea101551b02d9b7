"""What saved takes and the videos beside them should hold."""

from __future__ import annotations

from magi_core.video import read_video
from tools.small_models import tiny_engine

STEPS = 8


def latents_of(*prompts, begun=None, **how):
    engine = tiny_engine(steps=STEPS)
    begun = begun or engine.begin(width=32, height=32, seed=5, total_chunks=2)
    return engine.extend(begun, list(prompts), **how).latents


def frames_in(path) -> int:
    return len(read_video(path).frames)
