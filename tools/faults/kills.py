"""kill -9 at random moments of a streaming render, its last rewrite included: what must be there afterwards, is."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from magi_core import load_state
from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError
from magi_core.state import SamplerState
from magi_core.video import read_video
from tools.faults.render import INDEXING, SAVED, SHOWN, TAKE, VIDEO, Render, render_words, resume_words

EARLY, LATE = 0.04, 0.15  # shares of kills before the first chunk, and in the last rewrite
REWRITE = 0.02  # seconds that a rewrite takes, about


@dataclass(frozen=True)
class Kill:
    """What one kill left. saved, shown: chunks that the process said were in the take, in the video.

    faults: what was wrong, in words. apart: the largest difference of the resumed take from one that was never killed;
    None where there was nothing to resume.
    """

    moment: str
    saved: int
    shown: int
    faults: tuple[str, ...]
    apart: float | None


@dataclass(frozen=True, eq=False)
class Whole:
    """The render that nobody kills. seconds: how long it took."""

    take: SamplerState
    frames: Tensor
    seconds: float


def kills(count: int, chunks: int, folder: Path, seed: int = 1) -> Iterator[Kill]:
    """`count` kills of a render of `chunks` chunks, each in a new folder in `folder`."""
    chance, whole = random.Random(seed), uninterrupted(chunks, folder / "whole")
    for number in range(count):
        place = folder / f"kill_{number}"
        place.mkdir()
        yield _kill(place, chunks, whole, chance)
        shutil.rmtree(place)


def uninterrupted(chunks: int, folder: Path) -> Whole:
    folder.mkdir()
    begun = time.monotonic()
    render = Render(folder, render_words(chunks))
    if render.end():
        raise RuntimeError(render.said)
    seconds = time.monotonic() - begun
    return Whole(load_state(folder / TAKE), read_video(folder / VIDEO).frames, seconds)


def _kill(folder: Path, chunks: int, whole: Whole, chance: random.Random) -> Kill:
    render = Render(folder, render_words(chunks))
    moment = _until_the_moment(render, chunks, whole.seconds / chunks, chance)
    render.kill()
    render.end()
    saved, shown = render.events.count(SAVED), min(render.events.count(SHOWN), chunks)
    faults = [*_take_faults(folder, saved, whole), *_video_faults(folder, shown, whole)]
    more, apart = _resumed(folder, chunks, saved, whole)
    return Kill(moment, saved, shown, (*faults, *more), apart)


def _until_the_moment(render: Render, chunks: int, a_chunk: float, chance: random.Random) -> str:
    """Wait for the moment to kill at; what moment it is."""
    kind = chance.random()
    if kind < EARLY:
        moment, event, times, delay = "before the first chunk", SAVED, 0, chance.random() * a_chunk
    elif kind < EARLY + LATE:
        moment, event, times, delay = "in the last rewrite", INDEXING, 1, chance.random() * REWRITE
    else:
        moment, event, times, delay = "between chunks", SAVED, chance.randint(1, chunks), chance.random() * a_chunk
    render.follow(lambda events: events.count(event) >= times)
    time.sleep(delay)
    return moment


def _take_faults(folder: Path, saved: int, whole: Whole) -> Iterator[str]:
    try:
        take = load_state(folder / TAKE)
    except MagiError as error:
        if saved:
            yield f"the take cannot be read: {error}"
        return
    if take.finished < saved:
        yield f"the take has {take.finished} of {saved} finished chunks"
    if not torch.equal(take.latents, whole.take.latents_between(0, take.finished)):
        yield "finished chunks are not what they were"


def _video_faults(folder: Path, shown: int, whole: Whole) -> Iterator[str]:
    if not (folder / VIDEO).exists():
        if shown:
            yield f"{shown} chunks were in a video that is not there"
        return
    try:
        frames = read_video(folder / VIDEO).frames
    except MagiError as error:
        yield f"the video cannot be played: {error}"
        return
    if len(frames) < shown * VIDEO_FRAMES_PER_CHUNK:
        yield f"the video has {len(frames)} frames of {shown} finished chunks"
    # not the same bits: encoding the same frames twice does not always give them (see docs/development.md)
    nearest = torch.cdist(_flat(frames), _flat(whole.frames), p=1).argmin(dim=1)
    if (wrong := (nearest != torch.arange(len(frames))).nonzero().flatten().tolist()) != []:
        yield f"{len(wrong)} of {len(frames)} frames show another moment, the first is {wrong[0]}"


def _flat(frames: Tensor) -> Tensor:
    return frames.flatten(1).float()


def _resumed(folder: Path, chunks: int, saved: int, whole: Whole) -> tuple[list[str], float | None]:
    """What is wrong after going on, or after the same render once more where nothing had been saved."""
    done = saved and load_state(folder / TAKE).finished == chunks
    words = ["extend", TAKE, "--prompt", "green"] if done else resume_words() if saved else render_words(chunks)
    render = Render(folder, words)
    if render.end():
        return [f"going on failed: {render.said[-400:]}"], None
    left = sorted(entry.name for entry in folder.iterdir())
    faults = [] if left == [VIDEO, TAKE] else [f"left behind: {left}"]
    take = load_state(folder / TAKE)
    if take.finished != chunks + bool(done):
        faults.append(f"the resumed take has {take.finished} chunks")
        return faults, None
    together = take.latents_between(0, chunks)
    apart = float((together - whole.take.latents).abs().max())
    return faults, 0.0 if torch.equal(together, whole.take.latents) else apart or 1e-45
