"""One run of the sampler on a node: progress and previews, autosave, stopping when the user interrupts."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import comfy.model_management as management

from magi_core.errors import MagiError
from magi_core.sampling.price import cost_in_words, other_ways
from magi_core.state import Autosave
from magi_core.state.length import chunks_for
from magi_core.state.lineage import Place, place_for
from magi_core.state.state import Cancelled

from ..host.take_folder import autosave_path
from ..wires import HeldState, Prompt, Prompts
from .preview import Preview
from .progress import StepProgress, show, show_notes

if TYPE_CHECKING:
    from magi_core.engine import Engine
    from magi_core.sampling.extension import Extension
    from magi_core.state import SamplerState

NO_ROOM = (
    "there is not enough memory for this: make width and height smaller, lower the window of Magi Chunk Sampler "
    "(chunks in the works at a time), or give K/V pages less room on the device with Magi Model Settings"
)


def sample(
    engine: Engine,
    state: SamplerState,
    conditioning: Prompt | Prompts,
    *,
    node_id: str | None,
    chunks: int,
    seconds: float,
    leave_in_flight: bool,
    autosave: str,
    vae: Any,
    handoff: str = "clean",
    notes: tuple[str, ...] = (),
) -> HeldState:
    """`state` with the chunks that `conditioning` describes.

    chunks: at least so many; the last prompt of a storyboard goes on where it has fewer. seconds: above 0, the length
    of the new part instead. autosave: name of a take to keep up to date, or ""; a broken-off take of that name goes on
    where it was, one of another lineage stays. vae: for previews, or None.
    notes: on what was given, shown with those of the extend.
    An interrupt takes effect before the next model forward; the engine remembers what was finished.
    """
    count, end = chunks_for(state, seconds) if seconds else (max(chunks, conditioning.length), None)
    directions = conditioning.for_chunks(count)
    path = autosave_path(autosave) if autosave.strip() else None
    plan = partial(engine.plan, state, directions, handoff=handoff, drain=not leave_in_flight, end=end)
    extension, place = plan(), None
    if path is not None:
        place = place_for(path, state, [chunk.key for chunk in extension.chunks])
        if place.older is not None:
            engine.recall(place.older)
            extension = plan()
    cost = cost_in_words(extension.cost, other_ways(engine, extension, directions, handoff))
    preview = Preview.on(node_id, vae, state)
    show(node_id, cost)
    made = _without_crash(
        lambda: _run(
            engine,
            extension,
            None if place is None else Autosave(place.path, older=place.older),
            preview,
            StepProgress(node_id, below=cost, still=preview.still),
        )
    )
    said = (*notes, *extension.notes)
    show_notes(node_id, said if place is None or not place.note else (*said, _in_output(place)), cost)
    return HeldState.of(made)


def _run(
    engine: Engine,
    extension: Extension,
    saved: Autosave | None,
    preview: Preview,
    progress: StepProgress,
) -> SamplerState:
    made = extension.given
    with saved or nullcontext():
        try:
            for made in engine.run(extension, on_step=progress):
                if saved is not None:
                    saved.write(made)
                preview.finished(made)
        except Cancelled as stopped:
            if saved is not None and made is not extension.given:
                saved.write(stopped.state)
            management.throw_exception_if_processing_interrupted()
            raise
    return made


def _in_output(place: Place) -> str:
    """The note on where a take is saved, without the folders that ComfyUI's user need not know."""
    return place.note.replace(f"{place.path.parent}{os.sep}", "")


def _without_crash(run: Callable[[], SamplerState]) -> SamplerState:
    """`run()`; when memory runs out, in words. Said outside the handler, which would keep the run's tensors alive."""
    try:
        return run()
    except management.OOM_EXCEPTION:
        pass
    management.unload_all_models()
    management.soft_empty_cache()
    raise MagiError(NO_ROOM)
