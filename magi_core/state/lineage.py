"""Where a run saves its take: never over a take of another lineage. The command line and the nodes ask here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from magi_core.errors import MagiError
from magi_core.state.save import HEAD, load_state, parts_folders, saved_keys
from magi_core.state.state import SamplerState


@dataclass(frozen=True, eq=False)
class Place:
    """path: where to save. older: what is there of the same lineage, or None. note: why it is another path than asked
    for, in words, or ""."""

    path: Path
    older: SamplerState | None = None
    note: str = ""


def place_for(path: Path, begun: SamplerState, keys: Sequence[str]) -> Place:
    """Where a video that goes on from `begun` to chunks of `keys` (given ones included) is saved when `path` is asked.

    There, if nothing is there or a take that the video goes on from or makes again: one of the same size and given
    frames whose finished chunks are the first of `keys`, or all of them. Otherwise under the first such name with a
    number: "ball.magi" becomes "ball_2.magi".
    """
    for candidate in _numbered(path):
        older, free = None, not _anything_at(candidate)
        if not free and (older := _same_lineage(candidate, begun, keys)) is None:
            continue
        if candidate == path:
            return Place(path, older)
        what = f"{path} holds another take, which stays as it is"
        return Place(candidate, older, f"{what}: this one {'is saved as' if free else 'goes on in'} {candidate.name}")
    raise AssertionError("numbers do not end")


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    yield from (path.with_name(f"{path.stem}_{number}{path.suffix}") for number in count(2))


def _anything_at(path: Path) -> bool:
    return path.is_symlink() or path.exists() or any((folder / HEAD).exists() for folder in parts_folders(path))


def _same_lineage(path: Path, begun: SamplerState, keys: Sequence[str]) -> SamplerState | None:
    """The take at `path`, if the video to be made goes on from it or makes it again."""
    try:
        if not _may_begin(saved_keys(path), keys[begun.first_chunk :]):
            return None
        older = load_state(path)
    except MagiError:  # damaged, of a later version, or no take: not ours to replace
        return None
    same = ("width", "height", "channels", "prefix_key", "first_chunk")
    if any(getattr(older, name) != getattr(begun, name) for name in same):
        return None
    made = [older.chunk_key(index) for index in range(older.finished)] + [chunk.key for chunk in older.pending]
    return older if made == list(keys[: len(made)]) else None


def _may_begin(saved: Sequence[str], keys: Sequence[str]) -> bool:
    """Whether chunks that are saved under these keys can be the first of `keys`; "" is known with its latent only."""
    return len(saved) <= len(keys) and all(not own or own == key for own, key in zip(saved, keys, strict=False))
