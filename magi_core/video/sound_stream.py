"""The sound of a file, read while it is written to another: no more of it is in memory than is needed at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from magi_core.errors import MagiError
from magi_core.inputs.regular import regular_file
from magi_core.video.sound import floats, sixteen_bits
from magi_core.video.sound_file import Block, OnSeconds, sound_blocks


class SoundStream:
    """`seconds` of the first sound track of a file as a `SoundSource`, from its start on; then silence.

    The part is read once when this is made, so that what `read_sound` refuses is refused then. rate, channels: see
    `Sound`. `between` reads on where it is asked for what follows, and from the start for what lies before.
    note: why it is silent from somewhere on, where the file was changed or taken away meanwhile, or "".
    Raises `MagiError` as `read_sound`, and for a file without sound.
    """

    def __init__(self, path: str | Path, *, seconds: Fraction, on_seconds: OnSeconds | None = None) -> None:
        self.path, self.note = regular_file(path, "sound"), ""
        self._seconds, self._version = seconds, _version_of(self.path)
        self.rate = self.channels = self._total = 0
        self._near: list[Block] = []
        self._asked = self._reached = 0
        for block in sound_blocks(self.path, seconds=seconds, on_seconds=on_seconds):
            self.rate, self.channels, self._total = block.rate, len(block.samples), block.total
        if not self.rate:
            raise MagiError(f"{path} has no sound track that is read here: use wav, flac, mp3, m4a, ogg or a video")
        self._begin()

    def between(self, first: int, stop: int) -> Tensor:
        """Samples, float32 [channels, stop - first]; silence where there are none."""
        if max(first, 0) < self._asked:
            self._begin()
        self._asked = max(first, 0)
        self._near = [block for block in self._near if _end(block) > first]
        while self._reached < min(stop, self._total):
            self._read_on(first)
        made = torch.zeros(self.channels, stop - first)
        for block in self._near:
            begin, end = max(block.position, first), min(_end(block), stop, self._total)
            if begin < end:
                heard = sixteen_bits(block.samples[:, begin - block.position : end - block.position])
                made[:, begin - first : end - first] = floats(heard)  # as loud as can be, at most
        return made

    def _begin(self) -> None:
        self._near, self._asked, self._reached = [], 0, 0
        self._blocks: Iterator[Block] = iter(())
        if not self.note:
            self._blocks = sound_blocks(self.path, seconds=self._seconds)

    def _read_on(self, first: int) -> None:
        block = self._next()
        self._reached = self._total if block is None else _end(block)
        if block is not None and self._reached > first:
            self._near.append(block)

    def _next(self) -> Block | None:
        try:
            if not self._reached and _version_of(self.path) != self._version:
                raise MagiError("it is another file now")
            return next(self._blocks, None)
        except MagiError as error:
            if not self.note:
                self.note = f"silent from {self._reached / self.rate:.1f} s on: the sound {self.path} changed ({error})"
            return None


def _end(block: Block) -> int:
    return block.position + block.samples.shape[1]


def _version_of(path: Path) -> tuple[int, ...]:
    """Of what is at `path`: equal for the same file, unchanged. Nothing is a version, too."""
    with suppress(OSError):
        there = os.stat(path)
        return there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns
    return ()
