"""Seconds a chunk on a few CPU cores, decoding included, and the size of a model's files."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from magi_core import Engine
from magi_core.loading import locate
from tools.nano.judging import Findings
from tools.nano.vocabulary import SIZE

CHUNKS = 8
PROMPTS = ["a big red star moves right by day", "it turns blue", "it goes around in circles", "it stops"] * 2


def speed(engine: Engine, repeats: int, cores: int) -> list[Findings]:
    """Wall time of a run of eight chunks with its frames, divided by eight; the first run of all is not counted."""
    torch.set_num_threads(cores)
    name = "distill" if engine.dit.config.distill else "base"
    found = []
    for repeat in range(-1, repeats):
        began = time.monotonic()
        state = engine.extend(engine.begin(width=SIZE, height=SIZE, seed=repeat + 1), PROMPTS)
        frames = sum(len(block) for block in engine.decode(state))
        seconds = (time.monotonic() - began) / CHUNKS
        if repeat >= 0:
            found.append({name: seconds, "frames": frames, "cores": cores})
    return found


def file_size(model: str, variant: str) -> list[Findings]:
    """Megabytes (10^6 bytes) of everything in the folder that holds the model's transformers and what they share."""
    folder = Path(locate(model, variant).vae).parent
    return [{"size": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6}]
