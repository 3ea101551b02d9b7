"""Reading what is given on the command line, with a bar where it takes long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

from tqdm import tqdm

from magi_core.errors import MagiError, printable
from magi_core.video.sound import Sound
from magi_core.video.sound_file import read_sound

PATIENCE = 2  # seconds after which the bar appears


@contextmanager
def reading(path: str) -> Iterator[Callable[[int], None]]:
    """Yields what is told how many pictures were read. Ctrl-C stops the reading."""
    name = f"reading {printable(path)}"
    with tqdm(desc=name, unit=" pictures", file=sys.stderr, delay=PATIENCE, leave=False, dynamic_ncols=True) as bar:
        yield lambda count: _update(bar, count)


def read_audio(path: str | None, seconds: Fraction) -> Sound | None:
    """The sound file that is laid over `seconds` of video; None where none is given."""
    if path is None:
        return None
    sound = read_sound(path, seconds=seconds)
    if sound is None:
        raise MagiError(f"{path} has no sound track that is read here: use wav, flac, mp3, m4a, ogg or a video")
    return sound


def _update(bar: tqdm, count: int) -> None:
    bar.update(count - bar.n)
