"""`python -m magi_core render`: run a checked plan, show progress, write what was asked for."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tqdm import tqdm

from magi_core import __version__
from magi_core.cli import OK, STOPPED
from magi_core.cli_plan import RenderPlan, plan_render
from magi_core.cli_settings import with_scales
from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.contact_sheet import ContactSheet
from magi_core.direction import DirectedPrompt, check_ranges
from magi_core.errors import Cancelled, MagiError
from magi_core.video import VideoWriter
from magi_core.weights.find import WHERE

BAR = "{desc} |{bar}| step {n_fmt}/{total_fmt} [{elapsed} gone, {remaining} left]"
DECODE_BAR = "decoding |{bar}| frame {n_fmt}/{total_fmt} [{elapsed} gone, {remaining} left]"


def render(options: argparse.Namespace, *, load: Callable[..., Any] | None = None) -> int:
    """The command: plan, load, sample, decode, write. load: in place of `magi_core.load`."""
    plan = plan_render(options)
    _say(f"rendering {_describe(plan)}")
    for line in plan.board.to_text().splitlines():
        _say(f"  {line}")
    for note in plan.notes:
        _say(f"note: {note}")
    if load is None:
        from magi_core.loading import load
    engine = load(plan.model, variant=plan.variant, device=plan.device, dtype=plan.dtype, attention=plan.attention)
    return run(plan, engine)


def run(plan: RenderPlan, engine: Any) -> int:
    """Sample, decode and write with a loaded engine. Ctrl-C while sampling writes the chunks finished until then."""
    engine = engine.with_settings(**plan.changes, guidance=with_scales(engine.settings.guidance, plan.scales))
    _check_special_tokens(plan, engine)
    check_ranges(plan.board.chunks, engine.settings)
    prompts = _encode(plan, engine)
    state = engine.begin(
        width=plan.width,
        height=plan.height,
        seed=plan.seed,
        fps=float(plan.fps),
        image=plan.image,
        video=plan.video,
        total_chunks=plan.length.chunks,
    )
    for note in state.notes:
        _say(f"note: {note}")
    stopped = False
    with _interruptible() as cancelled, _Progress(plan.length.chunks) as progress:
        try:
            state = engine.extend(
                state, prompts, plan.length.chunks, on_step=progress, on_chunk=progress.finished, cancelled=cancelled
            )
        except Cancelled as error:
            state, stopped = error.state, True
    if stopped and not state.chunks:
        _say("stopped before the first chunk was finished; nothing was written", error=True)
        return STOPPED
    complete = _write(plan, engine, state)
    return OK if complete and not stopped else STOPPED


class _Progress:
    """A bar over all forwards: the oldest chunk in flight, the step, the time left."""

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks
        self.bar: tqdm | None = None
        self.done = 0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, event: Any) -> None:
        if self.bar is None:
            self.bar = tqdm(total=event.steps, bar_format=BAR, file=sys.stderr, dynamic_ncols=True)
        self.bar.set_description_str(self._place(), refresh=False)
        self.bar.update(event.step - self.bar.n)

    def finished(self, record: Any) -> None:
        self.done += 1

    def _place(self) -> str:
        return f"chunk {min(self.done + 1, self.chunks)} of {self.chunks}"


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether Ctrl-C was pressed. Pressed twice, it stops at once."""
    pressed = threading.Event()

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        _say("\nstopping; the finished chunks will be written (Ctrl-C again: stop at once, write nothing)", error=True)

    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield pressed.is_set
        return
    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


def _check_special_tokens(plan: RenderPlan, engine: Any) -> None:
    settings = engine.settings
    wanted = settings.special_tokens or settings.negative_tokens or settings.duration_tokens
    wanted = wanted or any(chunk.special_tokens for chunk in plan.board.chunks)
    if wanted and engine.special_tokens is None:
        raise MagiError(
            f"no special_tokens.npz found: get it from {WHERE['special tokens']}, or add --no-special-tokens"
        )


def _encode(plan: RenderPlan, engine: Any) -> list[DirectedPrompt]:
    """The storyboard with its prompts encoded; says what the text encoder noted, once per prompt."""
    encoded: dict[str, Any] = {}
    for index, prompt in enumerate(plan.board.prompts):
        if prompt not in encoded:
            encoded[prompt] = engine.encode_prompt(prompt)
            for note in encoded[prompt].notes:
                _say(f"note: chunk {index}: {note}")
    return [DirectedPrompt(chunk, encoded[chunk.prompt]) for chunk in plan.board.chunks]


def _write(plan: RenderPlan, engine: Any, state: Any) -> bool:
    """Decode straight into the file; False when Ctrl-C cut it short (the frames until then are in the file)."""
    length = plan.length
    end = min(length.skip + length.frames, (length.given_chunks + len(state.chunks)) * VIDEO_FRAMES_PER_CHUNK)
    sheet = ContactSheet(VIDEO_FRAMES_PER_CHUNK) if plan.sheet else None
    complete, position = True, 0
    bar = tqdm(total=end - length.skip, bar_format=DECODE_BAR, file=sys.stderr, dynamic_ncols=True, leave=False)
    with VideoWriter(plan.out, plan.fps, metadata=_metadata(plan, engine, state)) as writer, bar:
        try:
            for block in engine.decode(state):
                wanted = block[: end - position]
                if sheet is not None:
                    sheet.add(wanted)
                writer.write(wanted[max(length.skip - position, 0) :])
                bar.update(writer.frames - bar.n)
                position += len(block)
                if position >= end:
                    break
        except KeyboardInterrupt:
            if not writer.frames:
                raise
            complete = False
    duration = float(writer.frames / plan.fps)
    finished = len(state.chunks)
    part = "" if finished == length.chunks else f"{finished} of {_chunks(length.chunks)}, "
    part = part if complete else "the part decoded until now, "
    _say(
        f"wrote {plan.out}: {part}{writer.frames} frames, {duration:.2f} s at {float(plan.fps):.6g} fps, "
        f"{plan.width}x{plan.height}"
    )
    if sheet is not None and plan.sheet is not None:
        labels = ["(given video)"] * length.given_chunks + [record.prompt for record in state.chunks]
        title = f"{plan.model} · {plan.width}x{plan.height} · seed {plan.seed} · {engine.settings.steps} steps"
        sheet.save(plan.sheet, labels, fps=float(plan.fps), title=title)
        _say(f"wrote {plan.sheet}")
    return complete


def _metadata(plan: RenderPlan, engine: Any, state: Any) -> dict[str, Any]:
    """What the video was made from, so that it can be made again."""
    prompts = [record.prompt for record in state.chunks]
    return {
        "title": " / ".join(dict.fromkeys(prompts))[:200],
        "comment": {
            "made_with": f"magi_core {__version__}",
            "model": plan.model,
            "seed": plan.seed,
            "steps": engine.settings.steps,
            "prompts": prompts,
            "storyboard": plan.board.of_length(len(state.chunks)).to_text(),
        },
    }


def _describe(plan: RenderPlan) -> str:
    start = " from an image" if plan.image is not None else " continuing a video" if plan.video is not None else ""
    return (
        f"{_chunks(plan.length.chunks)}{start}, {plan.width}x{plan.height} at {float(plan.fps):.6g} fps, "
        f"seed {plan.seed}, model {plan.model} on {plan.device}"
    )


def _chunks(count: int) -> str:
    return f"{count} chunk" if count == 1 else f"{count} chunks"


def _say(text: str, *, error: bool = False) -> None:
    print(text, file=sys.stderr if error else sys.stdout, flush=True)
