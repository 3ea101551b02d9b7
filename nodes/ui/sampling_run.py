"""One run of the sampler on a node: progress, the desk, autosave, stopping when the user interrupts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import comfy.model_management as management

from magi_core.errors import MagiError
from magi_core.sampling.cost import look_cost
from magi_core.sampling.price import cost_in_words, other_ways
from magi_core.state import Autosave, other_vae
from magi_core.state.length import agreed_length
from magi_core.state.lineage import Place, place_for
from magi_core.state.state import Cancelled
from magi_core.state.story import told_again

from ..desk.events import NodeRun
from ..desk.showing import Pictures, Showing
from ..desk.sounds import heard_with
from ..host.file_names import resolved
from ..host.no_room import in_words
from ..host.queued import queued_graph
from ..host.take_folder import autosave_path
from ..host.vae import magi_vae
from ..wires import HeldState, Prompt, Prompts
from .progress import StepProgress, show_notes

if TYPE_CHECKING:
    from magi_core.engine import Engine
    from magi_core.sampling.events import Stepped
    from magi_core.sampling.extension import Extension
    from magi_core.state import SamplerState
    from magi_core.story.direction import Direction

NO_ROOM = (
    "there is not enough memory for this: make width and height smaller, lower the window of Magi Chunk Sampler "
    "(chunks in the works at a time), or give K/V pages less room on the device with Magi Model Settings. What was "
    "finished is remembered: the next run goes on from there"
)


def check_autosave(autosave: str) -> None:
    """Raise `MagiError` for a name that no take can have."""
    if autosave.strip():
        autosave_path(resolved(autosave, width=0, height=0, graph=queued_graph()))


def check_seconds(seconds: float) -> None:
    if not math.isfinite(seconds):
        raise MagiError(f"seconds must be a number, or 0 to go by chunks: {seconds}")


@dataclass(frozen=True)
class Asked:
    """What the widgets of a node that samples say.

    chunks: at least so many; the last prompt of a storyboard goes on where it has fewer. seconds: above 0, the length
    of the new part instead.
    """

    chunks: int
    seconds: float
    leave_in_flight: bool
    handoff: str = "clean"


@dataclass(frozen=True)
class Planning:
    """What a run of a node would do. plan: answers anew whenever it is called. handoff: of the ways to go on, the one
    that was chosen; "" where there is no choice."""

    plan: Callable[[], Extension]
    directions: Sequence[Direction]
    notes: tuple[str, ...]
    handoff: str = ""


def planning(engine: Engine, state: SamplerState, conditioning: Prompt | Prompts, asked: Asked) -> Planning:
    """What extending `state` as `asked` comes to: for a run, and for whoever wants to know before it."""
    length = agreed_length(state, asked.chunks, conditioning.told, asked.seconds)
    directions = conditioning.for_chunks(length.chunks)
    drain = not asked.leave_in_flight
    plan = partial(engine.plan, state, directions, handoff=asked.handoff, drain=drain, end=length.end)
    again = told_again(state, conditioning.specs)
    return Planning(plan, directions, (*length.notes, *filter(None, [again])), asked.handoff)


def sample(
    engine: Engine,
    told: Planning,
    *,
    run: NodeRun,
    autosave: str,
    vae: Any,
    graph: Mapping[str, Any],
    own: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> HeldState:
    """The state that what was `told` comes to.

    autosave: name of a take to keep up to date, or ""; a broken-off take of that name goes on where it was, one of
    another lineage stays. vae: for stills and clips, or None. graph: that is running, for names.
    own: values that are the model's own. notes: said before the run and after.
    An interrupt takes effect before the next model forward; the engine remembers what was finished.
    """
    node_id = run.node_id
    extension, place = _placed(engine, told.plan, autosave, graph)
    if vae is not None:
        extension, of_vae = _knowing(extension, magi_vae(vae).codec.identity)
        notes = (*notes, *of_vae)
    others = other_ways(engine, extension, told.directions, told.handoff) if told.handoff else {}
    cost = cost_in_words(extension.cost, others)
    look = look_cost(engine.dit.config, extension.begun.width, extension.begun.height)
    showing = Showing(run, extension, Pictures.of(vae, extension.begun), str(engine.cache.pages.device), look)
    run.saved = place is not None
    said = [note for note in dict.fromkeys([*notes, *told.notes]) if note and note not in extension.notes]
    words = "\n".join([cost, *([f"the model's own: {', '.join(own)}"] if own else [])])
    show_notes(node_id, (*said, *extension.notes), words)
    showing.begins((*said, *extension.notes), heard_with(graph, node_id, extension.begun))
    below = "\n".join([*extension.notes, words, *said])
    made = in_words(
        lambda: _run(
            engine,
            extension,
            None if place is None else Autosave(place.path, older=place.older),
            showing,
            StepProgress(node_id, below=below),
        ),
        NO_ROOM,
    )
    made_there = () if place is None or not place.note else (_in_output(place),)
    show_notes(node_id, made_there, below)
    return HeldState.of(made)


def _placed(
    engine: Engine, plan: Callable[[], Extension], autosave: str, graph: Mapping[str, Any]
) -> tuple[Extension, Place | None]:
    """What is to be done, and where it is kept up to date, if that is asked for: a broken-off take there goes on."""
    extension = plan()
    name = resolved(autosave, width=extension.begun.width, height=extension.begun.height, graph=graph)
    if not name.strip():
        return extension, None
    place = place_for(autosave_path(name), extension.given, [chunk.key for chunk in extension.chunks])
    if place.older is None:
        return extension, place
    engine.recall(place.older)
    return plan(), place


def _knowing(extension: Extension, vae: str) -> tuple[Extension, tuple[str, ...]]:
    """The extension of a state that is of the connected VAE where nothing else tells, and a note where it is of another
    one. vae: its identity."""
    begun = extension.begun
    begun = replace(begun, vae=begun.vae or vae)
    return replace(extension, begun=begun), (other_vae(begun, vae),)


def _run(
    engine: Engine,
    extension: Extension,
    saved: Autosave | None,
    showing: Showing,
    progress: StepProgress,
) -> SamplerState:
    made = extension.given

    def on_step(event: Stepped) -> None:
        progress(event)
        showing.stepped(event)

    with saved or nullcontext():
        try:
            for made in engine.run(extension, on_step=on_step):
                if saved is not None:
                    saved.write(made)
                showing.finished(made)
            showing.sampled()
        except Cancelled as stopped:
            if saved is not None and made is not extension.given:
                saved.write(stopped.state)
            management.throw_exception_if_processing_interrupted()
            raise
    return made


def _in_output(place: Place) -> str:
    """The note on where a take is saved, without the folders that ComfyUI's user need not know."""
    return place.note.replace(f"{place.path.parent}{os.sep}", "")
