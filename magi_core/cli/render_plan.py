"""From the command line's options to everything a render needs, checked before a model is loaded."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magi_core.attention.choose import get_attention
from magi_core.budget import allowed_on
from magi_core.cli.reading import read_audio, reading
from magi_core.cli.settings import guidance_scales, setting_changes
from magi_core.config import CHUNK_FRAMES, FRAMES_PER_LATENT, MAX_CHUNKS, VIDEO_FRAMES_PER_CHUNK
from magi_core.errors import MagiError, echo
from magi_core.inputs.regular import ADDRESS, possible, read_text, regular_file
from magi_core.kernels.compilation import check_compilation
from magi_core.loading import BUNDLED
from magi_core.story.storyboard import Storyboard, parse_storyboard
from magi_core.vae.given import GivenVideo, look_through
from magi_core.video import exact_fps, fit
from magi_core.video.images import read_noted_image
from magi_core.video.mp4 import checked_encoder
from magi_core.video.output_path import check_output
from magi_core.video.rate import MOST_LETTERS
from magi_core.video.size import check_size
from magi_core.video.sound import Sound
from magi_core.video.sound_stream import SoundStream
from magi_core.weights import pick_device, pick_dtype
from magi_core.writing.claim import is_claimed

BUNDLED_SIZE, USUAL_SIZE = 128, 720
STORYBOARD_BYTES = 4 << 20
MAX_SEED = 2**64 - 1  # as in the nodes


@dataclass(frozen=True)
class Length:
    """chunks: to generate. frames: of the written video."""

    chunks: int
    frames: int


@dataclass(frozen=True, eq=False)
class RenderPlan:
    """A checked render. board: what happens in each new chunk. changes: settings that differ from the model's own,
    guidance scales apart. sound: of the given video. audio: laid over the whole video. clean: whether prompts are
    cleaned."""

    model: str
    variant: str
    device: torch.device
    dtype: str
    attention: str
    compiled: bool
    vram: float | None
    board: Storyboard
    clean: bool
    length: Length
    width: int
    height: int
    fps: Fraction
    seed: int
    image: Tensor | None
    video: GivenVideo | None
    changes: dict[str, Any]
    scales: dict[str, float]
    out: Path
    sheet: Path | None
    save: Path | None
    notes: tuple[str, ...]
    sound: Sound | None = None
    audio: SoundStream | None = None


def plan_render(options: argparse.Namespace) -> RenderPlan:
    """Everything that can be wrong with the options raises `MagiError` here."""
    fps = exact_fps(options.fps)
    width, height = _size(options)
    if not 0 <= options.seed <= MAX_SEED:
        raise MagiError(f"--seed must lie between 0 and {MAX_SEED}: {options.seed}")
    device = checked_device(options)
    changes, scales = setting_changes(options), guidance_scales(options)
    story = read_story(options, fps)
    checked_encoder()
    _check_inputs(options)
    save = _new_take(options)
    out, sheet = _outputs(options)
    image, video, notes = _start(options, width, height, fps)
    length = plan_length(len(story), options.seconds, options.chunks, fps, 0 if video is None else len(video))
    audio = read_audio(options.audio, length.frames / fps)
    board, more = to_length(story, length.chunks, spread=not options.storyboard)
    return RenderPlan(
        model=options.model,
        variant=options.variant,
        device=device,
        dtype=options.dtype,
        attention=options.attention,
        compiled=options.compile,
        vram=options.vram,
        board=board,
        clean=not options.no_clean,
        length=length,
        width=width,
        height=height,
        fps=fps,
        seed=options.seed,
        image=image,
        video=video,
        changes=changes,
        scales=scales,
        out=out,
        sheet=sheet,
        save=save,
        notes=(*notes, *story.notes, *more),
        sound=None if video is None else video.sound,
        audio=audio,
    )


def plan_length(prompts: int, seconds: str | None, chunks: int | None, fps: Fraction, given_frames: int = 0) -> Length:
    """How long the video gets. seconds or chunks: of the new part; neither: one chunk per prompt.

    given_frames: of the video that is continued. It is filled up in front to whole latent frames (4), which are not
    written; where it ends inside a chunk, the first new chunk completes that chunk.
    """
    skip = -given_frames % FRAMES_PER_LATENT
    given = (given_frames + skip) // (FRAMES_PER_LATENT * CHUNK_FRAMES)
    if seconds is not None:
        new = round(seconds_of(seconds) * fps)
        if new < 1:
            raise MagiError(f"--seconds {seconds} is less than a frame at {float(fps):g} fps: use {1 / float(fps):.3f}")
        frames = given_frames + new
        return Length(possible_count(-(-(skip + frames) // VIDEO_FRAMES_PER_CHUNK) - given), frames)
    chunks = possible_count(prompts if chunks is None else chunks)
    return Length(chunks, (given + chunks) * VIDEO_FRAMES_PER_CHUNK - skip)


def possible_count(chunks: int) -> int:
    """`chunks`, if a command can make so many; asked before anything is made of that size."""
    if chunks < 1:
        raise MagiError(f"--chunks must be at least 1: {chunks}")
    if chunks > MAX_CHUNKS:
        raise MagiError(f"{echo(chunks)} chunks are too many: at most {MAX_CHUNKS:,} at a time, go on with extend")
    return chunks


def spread_prompts(prompts: Sequence[str], chunks: int) -> Storyboard:
    """Prompts one after the other over `chunks`, each as long as the others to within a chunk."""
    if len(prompts) > chunks:
        raise MagiError(
            f"{len(prompts)} prompts need at least {len(prompts)} chunks, the video has {chunks}: "
            "make it longer, or leave prompts out"
        )
    return Storyboard.of(prompts[i * len(prompts) // chunks] for i in range(chunks))


def _size(options: argparse.Namespace) -> tuple[int, int]:
    usual = BUNDLED_SIZE if options.model in BUNDLED else USUAL_SIZE
    if (options.width is None) != (options.height is None):
        raise MagiError("give both --width and --height, or neither")
    width = usual if options.width is None else options.width
    height = usual if options.height is None else options.height
    check_size(width, height)
    return width, height


def checked_device(options: argparse.Namespace) -> torch.device:
    """Names are checked without the model; the model itself is looked at when it is loaded."""
    device = pick_device(options.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MagiError(
            f"there is no device {echo(options.device)}: PyTorch sees {torch.cuda.device_count()} GPUs; use auto or cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise MagiError("there is no device 'mps' on this machine: use auto or cpu")
    if options.vram is not None:
        allowed_on(device, options.vram)
    pick_dtype(options.dtype, device, 0)
    get_attention(options.attention, device)
    if options.compile:
        check_compilation(device)
    checked_model(options.model)
    return device


def checked_model(model: str) -> str:
    """The name or folder of a model, or `MagiError`."""
    if model not in BUNDLED and not possible(model, "model", folder=True).exists():
        raise MagiError(
            f"there is no model {echo(model)}: give a folder with MAGI-1 weights"
            + "".join(f", or {name}" for name in BUNDLED)
            + " (python -m magi_core models lists what was found)"
        )
    return model


def read_story(options: argparse.Namespace, fps: Fraction) -> Storyboard:
    """What the prompts or the storyboard say, chunk by chunk."""
    if options.storyboard is None:
        if not options.prompts:
            raise MagiError(
                'nothing to render: give prompts in quotes, such as "a red ball rolls", or --storyboard FILE'
            )
        return Storyboard.of(options.prompts)
    if options.prompts:
        raise MagiError("give prompts or --storyboard, not both")
    path = Path(options.storyboard)
    try:
        text = read_text(path, "storyboard", STORYBOARD_BYTES)
    except MagiError as error:
        raise MagiError(f"cannot read the storyboard {path} ({error})") from error
    try:
        return parse_storyboard(text, fps=fps)
    except MagiError as error:
        raise MagiError(f"{path}, {error}") from None


def to_length(story: Storyboard, chunks: int, *, spread: bool) -> tuple[Storyboard, tuple[str, ...]]:
    """Prompts share the length; a storyboard keeps its times, is cut, or holds its last prompt."""
    if spread:
        return spread_prompts(story.prompts, chunks), ()
    if len(story) > chunks:
        are = "is" if chunks == 1 else "are"
        return story.of_length(chunks), (
            f"the storyboard has {len(story)} chunks, only the first {chunks} {are} rendered",
        )
    if len(story) < chunks:
        return story.of_length(chunks), (f"the storyboard ends after chunk {len(story) - 1}; its last prompt goes on",)
    return story, ()


def _check_inputs(options: argparse.Namespace) -> None:
    if options.image is not None and options.video is not None:
        raise MagiError("give --image or --video to start from, not both")
    for given, what in ((options.image, "image"), (options.video, "video"), (options.audio, "sound")):
        if given is None:
            continue
        if not possible(given, what).exists() and not ADDRESS.match(given):
            raise MagiError(f"there is no file {given}: check the path")
        regular_file(given, what)


def _start(
    options: argparse.Namespace, width: int, height: int, fps: Fraction
) -> tuple[Tensor | None, GivenVideo | None, tuple[str, ...]]:
    """The given image or video at the render's size and rate, and what was done to it."""
    if options.image is not None:
        given, notes = read_noted_image(options.image)
        image, note = fit(given[None], width, height, options.fit)
        return image[0], None, tuple(f"image: {note}" for note in (*notes, note) if note)
    if options.video is not None:
        with reading(options.video) as on_count:
            video = look_through(
                options.video, width=width, height=height, fps=fps, policy=options.fit, on_count=on_count
            )
        return None, video, tuple(f"video: {note}" for note in video.notes)
    return None, None, ()


def _outputs(options: argparse.Namespace) -> tuple[Path, Path | None]:
    out = _next_free(Path("output")) if options.out is None else possible(options.out, "video")
    sheet = None if options.contact_sheet is None else possible(options.contact_sheet, "contact sheet")
    read = (options.image, options.video, options.audio, options.storyboard)
    check_not_read(out, "--out", read)
    if sheet is not None:
        check_not_read(sheet, "--contact-sheet", read)
    check_output(out, ".mp4", "videos", make_folder=True)
    if sheet is not None:
        check_output(sheet, ".png", "contact sheets", make_folder=True)
    return out, sheet


def check_not_read(path: Path, option: str, read: Sequence[str | None]) -> None:
    """Raise `MagiError` where writing `path` would replace one of the files that are read."""
    for given in read:
        if given is not None and path.exists() and possible(given, "file").exists() and path.samefile(given):
            raise MagiError(f"{option} would replace {given}, which is read: choose another name")


def _new_take(options: argparse.Namespace) -> Path | None:
    if options.save is None:
        return None
    path = possible(options.save, "take")
    check_output(path, ".magi", "takes", make_folder=True)
    return path


def _next_free(folder: Path) -> Path:
    number = 1
    while (path := folder / f"magi_{number:04d}.mp4").exists() or (folder.is_dir() and is_claimed(path)):
        number += 1
    return path


def seconds_of(text: str) -> Fraction:
    try:
        if len(text) > MOST_LETTERS or "e" in text.lower():  # an exponent makes any size
            raise ValueError
        value = Fraction(text.strip().removesuffix("s"))
    except (ValueError, ZeroDivisionError):
        raise MagiError(f"--seconds must be a number such as 3 or 2.5: {echo(text)}") from None
    if value <= 0:
        raise MagiError(f"--seconds must be above 0: {text}")
    return value
