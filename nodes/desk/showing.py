"""What a run shows while it goes on: its plan, how far it is, stills of what is coming, clips of what is there.

Nothing here delays the first forward: clips of remembered and kept chunks are made once sampling has begun, in a share
of its time, and in a few seconds after it; they stop when the user interrupts.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import comfy.model_management as management

from magi_core.errors import printable
from magi_core.vae.latent_rgb import CHART, FRAMES, LatentRGB, fitted, latent_rgb

from ..host.vae import PlacedVAE, magi_vae
from .clips import Stopped, clip_name, has_clip, has_room, make_clip
from .desk import MEMORY, SPEEDS
from .events import Clip, Flying, Heard, NodeRun, Plan, Progress, Still
from .pace import Pace
from .stills import jpeg_of

if TYPE_CHECKING:
    from torch import Tensor

    from magi_core.sampling.events import Stepped
    from magi_core.sampling.extension import Extension
    from magi_core.state import SamplerState

STILLS_APART = 0.5  # seconds from one picture of what is in flight to the next; at once for a chunk that has none
BETWEEN = 0.2  # seconds from one report of progress to the next, at least
SHARE = 0.15  # of the time of sampling that clips of older chunks may take
AFTERWARDS = 4.0  # seconds for them when sampling is over
AT_ONCE = 50  # stills of older chunks after one forward
CLIP_FAILURES = (OSError, RuntimeError, ValueError)  # codecs, full disks, no memory on the device, MagiError


class Pictures:
    """vae: makes clips; fit: makes stills. None: there are none."""

    def __init__(self, vae: PlacedVAE | None, fit: LatentRGB | None) -> None:
        self.vae, self.fit = vae, fit

    @classmethod
    def of(cls, vae: Any, state: SamplerState) -> Pictures:
        """A VAE that does not fit `state` is refused here, before any work."""
        if vae is None:
            return cls(None, None)
        placed = magi_vae(vae)
        placed.codec.check_channels(state.channels)
        fit = fitted(placed.codec)
        if fit is None:
            with placed.working(FRAMES, CHART[1], CHART[0]) as codec:
                fit = latent_rgb(codec)
        return cls(placed, fit)


class Showing:
    """One run of `extension` on a node. look: see `look_cost`."""

    def __init__(self, run: NodeRun, extension: Extension, pictures: Pictures, device: str, look: float) -> None:
        self.run, self.extension, self.pictures, self.device, self.look = run, extension, pictures, device, look
        self.pace = Pace(extension.stages, look, SPEEDS.of(extension, device))
        self._kinds = {chunk.index: chunk.kind for chunk in extension.chunks}
        self._kept = {index for index, new in extension.new.items() if new.kept is not None}
        self._told = self._drawn = float("-inf")
        self._pictured: set[int] = set()  # chunks in flight that have a still
        self._done = 0
        self._older: deque[int] = deque()  # chunks without a clip that were made before
        self._dark: deque[int] = deque()  # and those without a still
        self._spent = 0.0  # seconds on clips of older chunks
        self._state = extension.begun

    def begins(self, notes: tuple[str, ...], heard: Heard | None = None) -> None:
        """Tell the plan, and what of it can be played at once."""
        extension, state = self.extension, self.extension.begun
        seconds = SPEEDS.seconds(extension, self.device, self.look, self.pictures.vae is not None)
        chunks, specs = extension.chunks, {chunk.key: chunk.spec for chunk in state.chunks}
        specs |= {new.key: (new.kept or new).at.spec for new in extension.new.values()}
        self.run.words = {key: spec.json for key, spec in specs.items()}
        first = chunks[0].index if chunks else 0
        cost = extension.cost.total
        size = (state.width, state.height)
        self.run.tell(Plan(first, chunks, cost, seconds, state.fps, *size, notes, heard))
        for index in range(state.finished):
            self._made_before(index, state)

    def stepped(self, event: Stepped) -> None:
        self.pace.stepped(event.step)
        self._progress(event)
        self._stills(event)
        self._light_up(AT_ONCE)
        while self._older and self._spent <= SHARE * self.pace.elapsed and not management.processing_interrupted():
            self._older_clip()

    def finished(self, state: SamplerState) -> None:
        """A state was handed out: show its newest chunk."""
        newer, self._state = state.finished > self._state.finished, state
        index = state.finished - 1
        if not newer:
            return
        if self._kinds.get(index) != "computed":
            self._made_before(index, state)
            return
        self._done += 1
        if self.pictures.vae is None:
            return
        name = clip_name(state, index, self.pictures.vae)
        if has_clip(name):
            self.run.tell(Clip(index, state.chunk_key(index), name))
            self._still_of_latent(index)
        elif not self._clip(index):
            self._still_of_latent(index)

    def sampled(self) -> None:
        """All states were handed out: what is left of older clips, for a few seconds, and the speed for other runs."""
        self._light_up(len(self._dark))
        until = time.monotonic() + AFTERWARDS
        while self._older and time.monotonic() < until and not management.processing_interrupted():
            self._older_clip()
        if self.pace.kept is not None:
            SPEEDS.keep(self.extension, self.device, self.pace.kept)

    def _progress(self, event: Stepped) -> None:
        now = time.monotonic()
        if now - self._told < BETWEEN and event.step < event.steps:
            return
        self._told = now
        stages, vae = self.extension.begun.settings.window, self.pictures.vae
        shown = (chunk for chunk in event.in_flight if chunk.index not in self._kept)
        flight = tuple(Flying(c.index, c.key, c.stage, stages, round(c.t, 4)) for c in shown)
        left = self.pace.seconds_left(event.step, 0 if vae is None else event.chunks - event.done)
        left = None if left is None else round(left + self._of_older_clips(left), 1)
        self.run.tell(Progress(flight, event.done, event.chunks, event.step, event.steps, left))

    def _of_older_clips(self, left: float) -> float:
        """Seconds that older clips will take beside the `left` ones of sampling, and after."""
        speed = self.pace.speed
        wanted = 0.0 if speed is None else speed.clip * len(self._older)
        return min(wanted, SHARE * (self.pace.elapsed + left) - self._spent + AFTERWARDS)

    def _stills(self, event: Stepped) -> None:
        """What every chunk in flight is expected to become."""
        shown = [chunk for chunk in event.in_flight if chunk.index not in self._kept]
        now, flying = time.monotonic(), {chunk.index for chunk in shown}
        if self.pictures.fit is None or (now - self._drawn < STILLS_APART and flying <= self._pictured):
            return
        self._drawn, self._pictured = now, flying
        for chunk in shown:
            self._still(chunk.index, chunk.key, min(chunk.t, 0.999), chunk.clean_estimate())

    def _made_before(self, index: int, state: SamplerState) -> None:
        vae = self.pictures.vae
        if vae is None:
            return
        key, name = state.chunk_key(index), clip_name(state, index, vae)
        if not MEMORY.has_still(key):
            self._dark.append(index)
        if has_clip(name):
            self.run.tell(Clip(index, key, name))
        else:
            self._older.append(index)

    def _light_up(self, most: int) -> None:
        """Stills of chunks that were made before and have none."""
        for _ in range(min(most, len(self._dark))):
            self._still_of_latent(self._dark.popleft())

    def _older_clip(self) -> None:
        before = time.monotonic()
        self._clip(self._older.popleft())
        self._spent += time.monotonic() - before

    def _clip(self, index: int) -> bool:
        """Make and tell the clip of a finished chunk, if the VAE finds room; a still from its middle comes first."""
        state, vae = self._state, self.pictures.vae
        if vae is None or not has_room(vae, state.latent_shape):
            return False
        key = state.chunk_key(index)

        def seen(middle: Tensor) -> None:
            self.run.tell(Still.of(index, key, 1.0, jpeg_of(middle)))

        try:
            with self.pace.making_clip():
                name = make_clip(state, index, vae, seen)
        except Stopped:
            return False
        except CLIP_FAILURES as error:  # a run is worth more than its clips
            logging.warning("MAGI: no clips of finished chunks: %s", printable(error))
            self.pictures.vae = None
            self._older.clear()
            return False
        self.run.tell(Clip(index, key, name))
        return True

    def _still_of_latent(self, index: int) -> None:
        if self.pictures.fit is not None:
            self._still(index, self._state.chunk_key(index), 1.0, self._state.chunk_latent(index))

    def _still(self, index: int, key: str, t: float, latent: Tensor) -> None:
        assert self.pictures.fit is not None
        picture = self.pictures.fit(latent[:, latent.shape[1] // 2])
        self.run.tell(Still.of(index, key, round(t, 4), jpeg_of(picture)))
