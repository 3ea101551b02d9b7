"""`python -m magi_core restyle | retouch | finish`: a second pass over a take or a video."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from magi_core.cli.make import Outputs, claimed, directed, make
from magi_core.cli.render_plan import checked_device, read_story, to_length
from magi_core.cli.say import say
from magi_core.cli.settings import guidance_scales, setting_changes, with_scales
from magi_core.errors import MagiError, echo
from magi_core.sampling.retouch import retouched
from magi_core.state import SamplerState, load_state
from magi_core.state.describe import counted
from magi_core.state.story import story_of
from magi_core.story.chunk import checked_strength
from magi_core.story.storyboard import Storyboard
from magi_core.vae.source import encode_source
from magi_core.video.output_path import check_output
from magi_core.video.rate import exact_fps
from magi_core.video.sound import Sound
from magi_core.video.sound_file import read_sound

Made = tuple[SamplerState, SamplerState, Storyboard, "Sound | None"]
"""The source, where the new take begins, what happens in its chunks, the sound of the source."""


def second_pass(options: argparse.Namespace, *, load: Callable[..., Any] | None = None) -> int:
    """The commands. load: in place of `magi_core.load`."""
    checked_strength(options.strength), setting_changes(options), guidance_scales(options), checked_device(options)
    check_output(Path(options.save), ".magi", "takes", make_folder=True)
    if options.out is not None:
        check_output(Path(options.out), ".mp4", "videos", make_folder=True)
    if Path(options.save).resolve() == Path(options.source).resolve():
        raise MagiError("the new take needs a name of its own: the source stays as it is")
    with claimed(take=Path(options.save), video=None if options.out is None else Path(options.out)) as names:
        return _second_pass(options, names, load)


def _second_pass(options: argparse.Namespace, names: dict[str, Any], load: Callable[..., Any] | None) -> int:
    from magi_core.loading import load as standard  # brings in PyTorch's heavier parts: options are checked before

    is_take = Path(options.source).suffix == ".magi"
    take = load_state(options.source) if is_take else None
    if take is None and options.command != "restyle":
        raise MagiError(f"{options.command} needs a saved take (.magi): {echo(options.source)}")
    engine = (load or standard)(
        options.model,
        variant=options.variant,
        device=checked_device(options),
        dtype=options.dtype,
        attention=options.attention,
        compiled=options.compile,
    )
    scales = with_scales(engine.settings.guidance, guidance_scales(options))
    engine = engine.with_settings(**setting_changes(options), guidance=scales)
    source, begun, board, sound = _begun(options, engine, take)
    say(
        f"{options.command}: {options.source} ({counted(source.finished)}) at strength {options.strength:g}, "
        f"{begun.width}x{begun.height}, seed {begun.seed}, model {options.model}"
    )
    outputs = Outputs(**names, frames=source.frames, sound=sound)
    return make(
        engine,
        begun,
        directed(engine, begun.settings, board, clean=not options.no_clean),
        outputs,
        model=options.model,
        source=source,
        strength=options.strength,
        end=source.end,
    )


def _begun(options: argparse.Namespace, engine: Any, take: SamplerState | None) -> Made:
    if take is None:
        return _from_video(options, engine)
    if options.command == "retouch":
        first, last = _places(options.chunks)
        count = last - first + 1
        asked = options.prompts or options.storyboard is not None
        own = Storyboard(tuple(record.spec for record in take.chunks[first - take.first_chunk :][:count]))
        board = _asked(options, take.fps, count) if asked else own
        rerolled = [replace(spec, seed_offset=spec.seed_offset + options.reroll) for spec in board.chunks]
        told = retouched(take, rerolled, first, options.strength, options.join)
        return take, take.at(first), Storyboard(tuple(told)), None  # type: ignore[arg-type]  # specs went in
    asked = options.prompts or options.storyboard is not None
    board = _asked(options, take.fps, len(take.chunks)) if asked else story_of(replace(take, frontier=None))
    board = Storyboard(tuple(replace(s, strength=None) if not asked else s for s in board.chunks))
    seed = take.seed if options.seed is None else options.seed
    begun = engine.begin(
        width=take.width,
        height=take.height,
        seed=seed,
        fps=take.fps,
        prefix=take.prefix,
        total_chunks=take.total_chunks,
    )
    return take, replace(begun, sound=take.sound), board, None


def _from_video(options: argparse.Namespace, engine: Any) -> Made:
    """A video as a take that was only given."""
    width, height = options.width or engine.size[0], options.height or engine.size[1]
    latents, frames = encode_source(engine.vae, options.source, width=width, height=height)
    seed = 0 if options.seed is None else options.seed
    given = engine.begin(width=width, height=height, seed=seed, prefix=latents)
    asked = options.prompts or options.storyboard is not None
    board = _asked(options, 24, given.finished) if asked else Storyboard.of([""] * given.finished)
    sound = read_sound(options.source, seconds=Fraction(frames) / exact_fps(24))
    return replace(given, end=frames), engine.begin(width=width, height=height, seed=seed), board, sound


def _asked(options: argparse.Namespace, fps: float, chunks: int) -> Storyboard:
    story = read_story(options, exact_fps(fps))
    board, notes = to_length(story, chunks, spread=options.storyboard is None)
    for note in (*story.notes, *notes):
        say(f"note: {note}")
    return board


def _places(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise MagiError(f"--chunks is one chunk, or the first and the last, such as 3-4: {echo(text)}")
    return int(first), int(last or first)
