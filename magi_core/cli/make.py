"""What `render` and `extend` share: chunks are sampled, saved and written to the video as they come, with a bar.

Ctrl-C stops before the next forward; what is finished is in the files by then.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from magi_core.cli.exit_codes import OK, STOPPED
from magi_core.cli.say import Steady, say
from magi_core.config import VIDEO_FRAMES_PER_CHUNK, SamplingSettings
from magi_core.errors import MagiError
from magi_core.sampling.events import Stepped
from magi_core.sampling.extension import Extension
from magi_core.sampling.price import extension_in_words
from magi_core.state import Autosave, SamplerState
from magi_core.state.decode import record
from magi_core.state.describe import captions, counted
from magi_core.state.lineage import place_for
from magi_core.state.state import Cancelled
from magi_core.story.chunk import ChunkSpec
from magi_core.story.direction import DirectedPrompt, check_ranges
from magi_core.story.storyboard import Storyboard
from magi_core.video.contact_sheet import ContactSheet
from magi_core.video.recording import VideoRecording
from magi_core.video.sound_stream import SoundStream
from magi_core.weights.find import WHERE
from magi_core.writing.claim import Claim

KINDS = {"sheet": "contact sheet"}  # outputs that messages call otherwise
BAR = "{desc} |{bar}| step {n_fmt}/{total_fmt} [{elapsed} gone, {remaining} left]"


@dataclass(frozen=True, eq=False)
class Outputs:
    """Where the result goes, names that are this command's alone; what is None is not made.

    frames: of the video. metadata: of the video. title: of the contact sheet.
    sound: laid over the whole video, in place of that of the given part.
    """

    video: Claim | None
    take: Claim | None
    frames: int
    sheet: Claim | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    sound: SoundStream | None = None


@contextmanager
def claimed(**paths: Path | None) -> Iterator[dict[str, Any]]:
    """Names of `Outputs`, claimed for as long as the command runs. Raises `MagiError` where another run has one."""
    with ExitStack() as held:
        yield {
            name: None if path is None else held.enter_context(Claim(path, f"the {KINDS.get(name, name)}"))
            for name, path in paths.items()
        }


def make(
    engine: Any, begun: SamplerState, prompts: Sequence[DirectedPrompt], outputs: Outputs, *, model: str, **how: Any
) -> int:
    """Extend `begun` by `prompts`, one each chunk, into all `outputs`; returns the exit code.

    how: `handoff`, `drain`, `settings`, `end`, `source`, `strength` of `Engine.plan`. model: as named on the command
    line, for what it says. Raises `MagiError` for frames without a VAE to make them, before anything is sampled.
    """
    if engine.vae is None and (outputs.video or outputs.sheet) is not None:
        raise MagiError(
            f"{model} has no VAE, which makes the frames: `python -m magi_core models {shlex.quote(model)}` says where "
            "to get it"
        )
    with ExitStack() as held:
        extension, older = engine.plan(begun, prompts, **how), None
        if outputs.take is not None:
            outputs, older = _placed(engine, extension, outputs, outputs.take, held)
            extension = engine.plan(begun, prompts, **how) if older is not None else extension
        say(extension_in_words(extension))
        for note in extension.notes:
            say(f"note: {note}")
        sheet = ContactSheet(VIDEO_FRAMES_PER_CHUNK, missing=begun.filled) if outputs.sheet else None
        recording = _recording(begun, outputs)
        saving = None if outputs.take is None else Autosave(outputs.take, older=older)
        state, stopped = _made(engine, extension, outputs, saving, recording, sheet)
        if stopped and len(state.chunks) == len(begun.chunks):
            say("stopped before a new chunk was finished; nothing was written", error=True)
            return STOPPED
        _tell(extension, state, outputs, recording)
        if sheet is not None and outputs.sheet is not None:
            sheet.save(outputs.sheet, captions(state), fps=state.fps, title=outputs.title)
            say(f"wrote {outputs.sheet.path}")
            if sheet.note:
                say(f"note: {sheet.note}")
        if stopped:
            second_pass = how.get("source") is not None  # `extend` would not know what its chunks are made from
            again = "to go on: the same command again"
            say(again if second_pass else _going_on(extension, state, outputs, model), error=True)
        return STOPPED if stopped else OK


def _made(
    engine: Any,
    extension: Any,
    outputs: Outputs,
    saving: Autosave | None,
    recording: VideoRecording | None,
    sheet: ContactSheet | None,
) -> tuple[SamplerState, bool]:
    """The state that was come to, and whether that was by Ctrl-C. Before an error goes on, what is kept is told."""
    begun: SamplerState = extension.given
    saved: list[SamplerState] = []
    state = begun
    with _interruptible() as cancelled, _Progress() as progress:
        states: Iterator[SamplerState] = engine.run(extension, on_step=progress, cancelled=cancelled)
        try:
            with ExitStack() as files:
                if saving is not None:
                    states = _saving(states, files.enter_context(saving), saved)
                if recording is not None:
                    files.enter_context(recording)
                    on_frames = None if sheet is None else sheet.add
                    behind = engine.vae.device if engine.vae.device.type == "cuda" else None
                    states = record(engine, states, recording, stop=outputs.frames, on_frames=on_frames, behind=behind)
                for state in states:  # noqa: B007  (the last one is told about)
                    pass
        except Cancelled as error:
            return error.state, True
        except KeyboardInterrupt:  # while a chunk was decoded, perhaps: the take has it already
            return saved[-1] if saved else state, True
        except Exception:
            progress.close()
            kept = [begun, *saved][-1] if saving is not None else state
            _tell(extension, kept, outputs, recording)
            raise
    return state, False


def directed(engine: Any, settings: SamplingSettings, board: Storyboard, *, clean: bool = True) -> list[DirectedPrompt]:
    """The storyboard with its prompts encoded; says what the text encoder noted, once per prompt.

    Raises `MagiError` for what the model or `settings` have no room for.
    """
    if not clean and engine.text_encoder is not None:
        engine = engine.copy(text_encoder=engine.text_encoder.as_typed())
    _check_special_tokens(settings, board, engine)
    check_ranges(board.chunks, settings)
    encoded: dict[str, Any] = {}
    for index, prompt in enumerate(board.prompts):
        if prompt not in encoded:
            encoded[prompt] = engine.encode_prompt(prompt)
            for note in encoded[prompt].notes:
                say(f"note: chunk {index}: {note}")
    return [DirectedPrompt(chunk, encoded[chunk.prompt]) for chunk in board.chunks]


def _placed(
    engine: Any, extension: Extension, outputs: Outputs, take: Claim, held: ExitStack
) -> tuple[Outputs, SamplerState | None]:
    """Where the take goes without replacing another, and what is there of it: the engine remembers that from now on."""
    place = place_for(take.path, extension.given, [chunk.key for chunk in extension.chunks])
    if place.note:
        say(f"note: {place.note}")
    if place.older is not None:
        engine.recall(place.older)
    if place.path != take.path:
        outputs = replace(outputs, take=held.enter_context(Claim(place.path, "the take")))
    return outputs, place.older


def _recording(begun: SamplerState, outputs: Outputs) -> VideoRecording | None:
    if outputs.video is None:
        return None
    return VideoRecording(
        outputs.video,
        width=begun.width,
        height=begun.height,
        fps=begun.fps,
        metadata=outputs.metadata,
        replace=True,
        sound=begun.sound if outputs.sound is None else outputs.sound,
    )


def _saving(states: Iterator[SamplerState], take: Autosave, saved: list[SamplerState]) -> Iterator[SamplerState]:
    """Pass states on when they are in the take and in `saved`, where only the latest stays."""
    try:
        for state in states:
            take.write(state)
            saved[:] = [state]
            yield state
    except Cancelled as error:
        if saved:  # what was cancelled may know more of what is in flight than the last finished chunk
            take.write(error.state)
        raise


class _Progress:
    """A bar over all forwards: the oldest chunk in flight, the step, the time left."""

    def __init__(self) -> None:
        self.bar: tqdm | None = None

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, event: Stepped) -> None:
        if self.bar is None:
            self.bar = tqdm(total=event.steps, bar_format=BAR, file=Steady(sys.stderr), dynamic_ncols=True)
        place = f"chunk {min(event.done + 1, event.chunks)} of {event.chunks}"
        self.bar.set_description_str(place, refresh=False)
        self.bar.update(event.step - self.bar.n)
        for note in event.notes:
            with self.bar.external_write_mode(file=sys.stderr):
                say(f"note: {note}", error=True)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether Ctrl-C was pressed. Pressed twice, it stops at once."""
    pressed = threading.Event()

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        say("\nstopping after this step; finished chunks are kept (Ctrl-C again: stop at once)", error=True)

    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield pressed.is_set
        return
    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


def _check_special_tokens(settings: SamplingSettings, board: Storyboard, engine: Any) -> None:
    wanted = settings.special_tokens or settings.negative_tokens or settings.duration_tokens
    wanted = wanted or any(chunk.special_tokens for chunk in board.chunks)
    if wanted and engine.special_tokens is None:
        raise MagiError(
            f"no special_tokens.npz found: get it from {WHERE['special tokens']}, or add --no-special-tokens"
        )


def _tell(extension: Extension, state: SamplerState, outputs: Outputs, recording: VideoRecording | None) -> None:
    """What was written, and what has come up since the run began."""
    begun, wanted = extension.given, len(extension.new)
    new = len(state.chunks) - len(begun.chunks)
    part = "" if new == wanted or not extension.drain else f"{new} of {counted(wanted)}, "
    size = f"{state.width}x{state.height}"
    if recording is not None and recording.frames:
        seconds = float(recording.frames / recording.fps)
        say(
            f"wrote {recording.path}: {part}{counted(recording.frames, 'frame')}, {seconds:.2f} s at "
            f"{float(recording.fps):.6g} fps, {size}"
        )
        if recording.note:
            say(f"note: {recording.note}")
        if outputs.sound is not None and outputs.sound.note:
            say(f"note: {outputs.sound.note}")
    if outputs.take is not None and state is not begun:
        flying = f" and {len(state.pending)} in flight" if state.pending else ""
        say(f"saved {outputs.take.path}: {counted(len(state.chunks))}{flying}, {size}")
    for note in state.notes[len(extension.begun.notes) :]:
        say(f"note: {note}")


def _going_on(extension: Any, state: SamplerState, outputs: Outputs, model: str) -> str:
    """The command that goes on with what was stopped, in words."""
    if outputs.take is not None and state.unfinished is not None:
        words: list[object] = ["extend", outputs.take.path, *_model(model)]
        words += [] if outputs.video is None else ["-o", outputs.video.path]
        return _in_words(words)
    left = [chunk.at.spec for index, chunk in extension.new.items() if index >= state.next_chunk]
    return _how_to_go_on(left, outputs, model)


def _how_to_go_on(left: Sequence[ChunkSpec], outputs: Outputs, model: str) -> str:
    """The command that goes on with the first of the chunks that are left, and all that are alike."""
    take = None if outputs.take is None else outputs.take.path
    if not left:
        return f"to finish the chunks in flight: python -m magi_core extend {take} --prompt ..."
    lines = Storyboard(tuple(left)).lines
    first, last, chunk = lines[0]
    words: list[object] = ["extend", take, "--prompt", chunk.prompt, "--chunks", last - first + 1]
    if take is None and outputs.video is not None:
        words = ["render", chunk.prompt, "--chunks", last - first + 1, "--video", outputs.video.path]
    more = ", and so on with what follows" if len(lines) > 1 else ""
    return _in_words([*words, *_model(model)]) + more


def _model(model: str) -> list[object]:
    return [] if model == "nano" else ["--model", model]


def _in_words(words: Sequence[object]) -> str:
    return f"to go on: python -m magi_core {shlex.join(map(str, words))}"
