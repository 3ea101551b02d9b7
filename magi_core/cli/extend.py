"""`python -m magi_core extend`: go on with a saved take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from magi_core import __version__
from magi_core.cli.differing import warn_of_differences
from magi_core.cli.make import Outputs, claimed, directed, make
from magi_core.cli.reading import read_audio
from magi_core.cli.render_plan import (
    check_not_read,
    checked_device,
    possible_count,
    read_story,
    seconds_of,
    to_length,
)
from magi_core.cli.say import say
from magi_core.cli.settings import guidance_scales, setting_changes, with_scales
from magi_core.config import VIDEO_FRAMES_PER_CHUNK, SamplingSettings
from magi_core.errors import MagiError
from magi_core.inputs.regular import possible
from magi_core.state import SamplerState, Unfinished, load_state
from magi_core.state.describe import counted
from magi_core.state.story import story_of, told_again
from magi_core.story.storyboard import Storyboard
from magi_core.video.output_path import check_output
from magi_core.video.rate import exact_fps


def extend(options: argparse.Namespace, *, load: Callable[..., Any] | None = None) -> int:
    """The command. load: in place of `magi_core.load`."""
    source = Path(options.take)
    setting_changes(options), guidance_scales(options), checked_device(options)
    if not possible(source, "saved take").is_file():
        load_state(source)  # it may be in parts; if not, that is said before anything else
    video, take = _outputs(options, source)
    with claimed(video=video, take=take) as names:  # before it is read: nobody adds to it from now on
        return _extend(options, source, names, load)


def _extend(options: argparse.Namespace, source: Path, names: dict[str, Any], load: Callable[..., Any] | None) -> int:
    changes, scales, device = setting_changes(options), guidance_scales(options), checked_device(options)
    whole = load_state(source)
    state = whole if options.at is None else whole.at(options.at)
    board, end, notes = _new_part(options, state, exact_fps(state.fps))
    audio = read_audio(options.audio, end / exact_fps(state.fps))
    if state.total_chunks is not None:  # the take gets longer than it was said to be, and new chunks should know
        state = replace(state, total_chunks=state.next_chunk - state.first_chunk + len(board))
    settings = replace(state.settings, **changes, guidance=with_scales(state.settings.guidance, scales))
    say(
        f"extending {source} ({counted(state.finished)}) by {counted(len(board))}, {state.width}x{state.height}, "
        f"seed {state.seed}, model {options.model} on {device}"
    )
    for line in board.to_text().splitlines():
        say(f"  {line}")
    for note in notes:
        say(f"note: {note}")
    from magi_core.loading import load as standard  # brings in PyTorch's heavier parts: options are checked before

    engine = (load or standard)(
        options.model,
        variant=options.variant,
        device=device,
        dtype=options.dtype,
        attention=options.attention,
        compiled=options.compile,
        vram=options.vram,
    )
    warn_of_differences(engine, state, settings, source)
    outputs = Outputs(**names, frames=end, metadata=_metadata(options, state, board, settings), sound=audio)
    rest = _rest(options, state)
    how = {"handoff": options.handoff, "drain": not options.no_drain and (rest is None or rest.drain), "end": end}
    if settings != state.settings:
        how["settings"] = settings
    return make(
        engine,
        state,
        directed(engine, settings, board, clean=not options.no_clean),
        outputs,
        model=options.model,
        **how,
    )


def _outputs(options: argparse.Namespace, source: Path) -> tuple[Path | None, Path]:
    """Where the video and the longer take go."""
    take = source if options.save is None else possible(options.save, "take")
    if take.resolve() == source.resolve():
        take = source
        check_output(take, take.suffix.lower(), "takes")
    else:
        check_output(take, ".magi", "takes", make_folder=True)
    if options.out is None:
        if options.audio is not None:
            raise MagiError("--audio is for the video: name that with --out")
        return None, take
    out = possible(options.out, "video")
    check_output(out, ".mp4", "videos", make_folder=True)
    check_not_read(out, "--out", (options.audio, options.storyboard))
    return out, take


def _new_part(
    options: argparse.Namespace, state: SamplerState, fps: Fraction
) -> tuple[Storyboard, int, tuple[str, ...]]:
    """What happens in the new chunks, how many frames the video then has, and notes."""
    rest = _rest(options, state)
    if rest is not None and any(spec.strength is not None for spec in rest.asked(state.finished)):
        raise MagiError(
            f"{options.take} was broken off in a second pass, and what it is made from is elsewhere: give the same "
            "restyle, retouch or finish again, or say with --prompt what happens next"
        )
    story = read_story(options, fps) if rest is None else Storyboard(rest.asked(state.finished))
    done = state.next_chunk * VIDEO_FRAMES_PER_CHUNK - state.filled
    if options.seconds is not None:
        frames = round(seconds_of(options.seconds) * fps)
        if frames < 1:
            raise MagiError(f"--seconds {options.seconds} is less than a frame at {float(fps):g} fps")
        chunks = possible_count(-(-frames // VIDEO_FRAMES_PER_CHUNK))
    else:
        chunks = possible_count(len(story) if options.chunks is None else options.chunks)
        frames = chunks * VIDEO_FRAMES_PER_CHUNK
    board, notes = to_length(story, chunks, spread=not options.storyboard and rest is None)
    again = told_again(state, board.chunks) if options.storyboard else ""
    notes = (*story.notes, *notes, *filter(None, [again]))
    if rest is not None and rest.end is not None and options.seconds is options.chunks is None:
        return board, rest.end, notes
    return board, done + frames, notes


def _rest(options: argparse.Namespace, state: SamplerState) -> Unfinished | None:
    """The run that the take was broken off at, where nothing else is asked for."""
    rest = state.unfinished
    asked = options.prompts or options.storyboard is not None
    return None if asked or rest is None or not rest.asked(state.finished) else rest


def _metadata(
    options: argparse.Namespace, state: SamplerState, board: Storyboard, settings: SamplingSettings
) -> dict[str, Any]:
    """What the whole video is made from."""
    story = Storyboard((*story_of(state).chunks, *board.chunks))
    return {
        "title": " / ".join(dict.fromkeys(story.prompts))[:200],
        "storyboard": story.to_json(),
        "comment": {
            "made_with": f"magi_core {__version__}",
            "model": options.model,
            "seed": state.seed,
            "steps": settings.steps,
            "prompts": story.prompts,
        },
    }
