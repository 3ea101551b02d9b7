"""Progress on the node, text under it, and stopping when the user presses interrupt."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import comfy.model_management as management
import comfy.utils
from server import PromptServer

from magi_core.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from magi_core.engine import Engine
    from magi_core.sampling import StepEvent
    from magi_core.state import SamplerState

    from .wires import Prompt


def extend(engine: Engine, state: SamplerState, prompt: Prompt, chunks: int, node_id: str | None) -> SamplerState:
    """`engine.extend` with ComfyUI's progress bar; an interrupt takes effect before the next model forward."""
    bar: comfy.utils.ProgressBar | None = None

    def report(event: StepEvent) -> None:
        nonlocal bar
        bar = bar or comfy.utils.ProgressBar(event.steps, node_id=node_id)
        bar.update_absolute(event.step, event.steps)
        chunk = min(event.done + 1, event.chunks)
        show(node_id, f"chunk {chunk} of {event.chunks}, step {event.step} of {event.steps}")

    try:
        return engine.extend(
            state, prompt.embedding, chunks, on_step=report, cancelled=management.processing_interrupted
        )
    except Cancelled:
        management.throw_exception_if_processing_interrupted()
        raise


def show(node_id: str | None, text: str) -> None:
    """A line of text on the node."""
    if node_id is not None:
        PromptServer.instance.send_progress_text(text, node_id)


def show_notes(node_id: str | None, notes: Iterable[str]) -> None:
    """What was done to the user's input ("prompt cut to 800 tokens"): on the node, and in the log."""
    lines = list(notes)
    for line in lines:
        logging.info("MAGI: %s", line)
    if lines:
        show(node_id, "\n".join(lines))
