"""Reading what is given on the command line, with a bar where it takes long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

from tqdm import tqdm

from magi_core.cli.say import Steady
from magi_core.errors import printable
from magi_core.video.sound_stream import SoundStream

PATIENCE = 2  # seconds after which the bar appears


@contextmanager
def reading(path: str, unit: str = "pictures", *, doing: str = "reading") -> Iterator[Callable[[float], None]]:
    """Yields what is told how many pictures, or what `unit` says, were read. Ctrl-C stops the reading."""
    name = f"{doing} {printable(path)}"
    with tqdm(
        desc=name, unit=f" {unit}", file=Steady(sys.stderr), delay=PATIENCE, leave=False, dynamic_ncols=True
    ) as bar:
        yield lambda count: _update(bar, count)


def read_audio(path: str | None, seconds: Fraction) -> SoundStream | None:
    """The sound file that is laid over `seconds` of video; None where none is given."""
    if path is None:
        return None
    with reading(path, "seconds") as on_seconds:
        return SoundStream(path, seconds=seconds, on_seconds=on_seconds)


def _update(bar: tqdm, count: float) -> None:
    bar.update(max(int(count) - bar.n, 0))
