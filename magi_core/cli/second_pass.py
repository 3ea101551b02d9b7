"""`python -m magi_core restyle | retouch | finish`: a second pass over a take or a video."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from magi_core.cli.differing import warn_of_differences
from magi_core.cli.make import Outputs, claimed, directed, make
from magi_core.cli.reading import reading
from magi_core.cli.render_plan import checked_device, read_story, to_length
from magi_core.cli.say import say
from magi_core.cli.settings import guidance_scales, setting_changes, with_scales
from magi_core.config import SamplingSettings
from magi_core.errors import MagiError, echo
from magi_core.inputs.regular import possible
from magi_core.sampling.retouch import check_places, retouched
from magi_core.state import SamplerState, load_state, resized, resizing_in_words
from magi_core.state.describe import counted
from magi_core.state.story import words_of
from magi_core.story.chunk import checked_strength
from magi_core.story.direction import spec_of
from magi_core.story.storyboard import Storyboard
from magi_core.vae.given import look_through
from magi_core.vae.source import encode_source
from magi_core.video.frame_source import check_video
from magi_core.video.output_path import check_output
from magi_core.video.rate import exact_fps
from magi_core.video.size import check_side, check_size

Made = tuple[SamplerState, SamplerState, Storyboard]
"""The source, where the new take begins, what happens in its chunks."""


def second_pass(options: argparse.Namespace, *, load: Callable[..., Any] | None = None) -> int:
    """The commands. load: in place of `magi_core.load`."""
    checked_strength(options.strength), setting_changes(options), guidance_scales(options), checked_device(options)
    check_output(Path(options.save), ".magi", "takes", make_folder=True)
    if options.out is not None:
        check_output(Path(options.out), ".mp4", "videos", make_folder=True)
    source = possible(options.source, "take or video").resolve()
    for what, name in (("take", options.save), ("video", options.out)):
        if name is not None and Path(name).resolve() == source:
            raise MagiError(f"the new {what} needs a name of its own: the source stays as it is")
    with claimed(take=Path(options.save), video=None if options.out is None else Path(options.out)) as names:
        return _second_pass(options, names, load)


def _second_pass(options: argparse.Namespace, names: dict[str, Any], load: Callable[..., Any] | None) -> int:
    take = _take(options)
    story = _story(options, 24 if take is None else take.fps)
    from magi_core.loading import load as standard  # brings in PyTorch's heavier parts: options are checked before

    engine = (load or standard)(
        options.model,
        variant=options.variant,
        device=checked_device(options),
        dtype=options.dtype,
        attention=options.attention,
        compiled=options.compile,
        vram=options.vram,
    )
    how: dict[str, Any] = {}
    if take is not None and options.command == "retouch":  # sampled as the take was
        how["settings"] = _changed(options, take.settings)
        warn_of_differences(engine, take, how["settings"], Path(options.source))
    engine = engine.copy(settings=_changed(options, engine.settings))
    source, begun, board = _from_video(options, engine, story) if take is None else _begun(options, engine, take, story)
    say(
        f"{options.command}: {options.source} ({counted(source.finished)}) at strength {options.strength:g}, "
        f"{begun.width}x{begun.height}, seed {begun.seed}, model {options.model}"
    )
    return make(
        engine,
        begun,
        directed(engine, how.get("settings", begun.settings), board, clean=not options.no_clean),
        Outputs(**names, frames=source.frames),
        model=options.model,
        source=source,
        strength=options.strength,
        end=source.end,
        **how,
    )


def _changed(options: argparse.Namespace, settings: SamplingSettings) -> SamplingSettings:
    """`settings` with what is asked for."""
    scales = with_scales(settings.guidance, guidance_scales(options))
    return replace(settings, **setting_changes(options), guidance=scales)


def _take(options: argparse.Namespace) -> SamplerState | None:
    """The source, where it is a take; None for a video. Raises `MagiError` for what is neither."""
    if possible(options.source, "take or video").suffix.lower() == ".magi":
        take = load_state(options.source)
        if not take.chunks:
            raise MagiError(f"{options.source} has no chunk of its own that could be made anew")
        if options.command == "retouch":
            first, last = _places(options.chunks)
            check_places(take, first, last, options.join)
        else:
            _size(options, (take.width, take.height))
        return take
    if options.command != "restyle":
        raise MagiError(f"{options.command} needs a saved take (.magi): {echo(options.source)}")
    check_video(options.source)
    _size(options, (0, 0))
    return None


def _story(options: argparse.Namespace, fps: float) -> Storyboard | None:
    """What is asked for; None for what the source says."""
    return read_story(options, exact_fps(fps)) if options.prompts or options.storyboard is not None else None


def _begun(options: argparse.Namespace, engine: Any, take: SamplerState, story: Storyboard | None) -> Made:
    if options.command == "retouch":
        first, last = _places(options.chunks)
        count = last - first + 1
        own = Storyboard(tuple(words_of(take, first, last + 1)))
        board = own if story is None else _to_length(options, story, count)
        rerolled = [replace(spec, seed_offset=spec.seed_offset + options.reroll) for spec in board.chunks]
        told = retouched(take, rerolled, first, options.strength, options.join)
        return take, take.at(first), Storyboard(tuple(map(spec_of, told)))
    size = _size(options, (take.width, take.height))
    for note in resizing_in_words(take, *size, options.strength):
        say(f"note: {note}")
    take = resized(take, *size)
    if story is None:
        board = Storyboard(tuple(words_of(take, take.first_chunk, take.finished)))
    else:
        board = _to_length(options, story, len(take.chunks))
    return take, engine.begin_again(take, seed=options.seed), board


def _from_video(options: argparse.Namespace, engine: Any, story: Storyboard | None) -> Made:
    """A video as a take that was only given."""
    width, height = _size(options, engine.size)
    begun = engine.begin(width=width, height=height, seed=options.seed or 0)
    with reading(options.source) as on_count:
        video = look_through(options.source, width=width, height=height, on_count=on_count)
    with reading(options.source, doing="encoding") as on_count:
        latents, notes = encode_source(engine.vae, video, on_count)
    for note in (*video.notes, *notes):
        say(f"note: {note}")
    given = engine.begin(width=width, height=height, seed=begun.seed, prefix=latents)
    count = given.finished
    board = Storyboard.of([""] * count) if story is None else _to_length(options, story, count)
    return replace(given, end=len(video)), replace(begun, sound=video.sound), board


def _to_length(options: argparse.Namespace, story: Storyboard, chunks: int) -> Storyboard:
    board, notes = to_length(story, chunks, spread=options.storyboard is None)
    for note in (*story.notes, *notes):
        say(f"note: {note}")
    return board


def _size(options: argparse.Namespace, own: tuple[int, int]) -> tuple[int, int]:
    """Width and height that are asked for; `own` where nothing is."""
    if options.command == "finish":
        return own if options.size is None else _sides(options.size)
    for name in ("width", "height"):
        if (pixels := getattr(options, name)) is not None:
            check_side(name, pixels)
    return options.width or own[0], options.height or own[1]


def _sides(text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"(\d{1,9})[xX](\d{1,9})", text, re.ASCII)
    if sides is None:
        raise MagiError(f"--size is a width and a height in pixels, such as 1280x720: {echo(text)}")
    width, height = map(int, sides.groups())
    check_size(width, height)
    return width, height


def _places(text: str) -> tuple[int, int]:
    places = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text, re.ASCII)
    if places is None:
        raise MagiError(f"--chunks is one chunk, or the first and the last, such as 3-4: {echo(text)}")
    first, last = places.groups()
    return int(first), int(last or first)
