"""What every node that samples would do if the page were queued as it is: `POST /magi/plan` of docs/desk.md.

A plan is made by the engine's own planning, on an engine without weights that shares what the real one remembers
(`made.Model`). It looks things up under the locks of those caches and changes none of them, so it may run beside a run.
Behind a node that has not made its state yet, the state is the one its plan would make, without latents.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from magi_core.cache.engine_cache import EngineCache
from magi_core.engine import Engine
from magi_core.errors import MagiError, echo, printable
from magi_core.sampling.cost import look_cost
from magi_core.sampling.extension import Extension, Piece
from magi_core.sampling.plan import check_schedule
from magi_core.sampling.retouch import check_places
from magi_core.state import ChunkRecord, Frontier, InFlight, SamplerState
from magi_core.state.rewind import rewind
from magi_core.story.direction import Direction, prompt_of
from magi_core.text import PromptEmbedding
from magi_core.text.chunk_text import ChunkText

from .. import second_pass
from ..chunk_sampler import Begun, asked, begin
from ..host.file_names import resolved
from ..host.take_folder import autosave_path
from ..ui.sampling_run import Planning, planning
from ..ui.second_planning import reading, restyling, retouching
from ..vae_decode import check_memory
from .asked import mapped, name_of
from .desk import MEMORY, SPEEDS
from .events import Heard, Plan
from .given import SAMPLERS, Given
from .made import MADE, Conditioning, Model, Prefix, fingerprints, source_recipe
from .recipes import MOST_NODES, Graph, Recipes, class_of, inputs_of, is_link
from .sounds import HeardIn
from .unmade import outline, unencoded_prefix

PASS_STATE = {"MagiRewind", "MagiSaveState"}
MOST_SAMPLERS, MOST_CHUNKS = 200, 20_000  # in one graph
MOST_QUEUED = 4000  # chunks, when it is queued: ComfyUI answers nobody meanwhile
MOST_READ = 500  # chunks that one reads; with more, it counts as several


def plan(body: Mapping[str, Any]) -> dict[str, Any]:
    """The plan of every node of a graph that samples, those before others first."""
    graph = mapped(body, "graph", MOST_NODES)
    name_of(body, "workflow")
    with torch.no_grad():
        return {"nodes": _Graph(graph, most=MOST_CHUNKS).plans()}


def faults(graph: Graph) -> dict[str, tuple[str, str]]:
    """What nodes that sample would fail with before their first step, as far as that is sure: argument and sentence."""
    try:
        asked = _Graph(graph, most=MOST_QUEUED, words=False)
        with torch.no_grad():
            asked.plans()
            asked.look_behind()
    except Exception:  # a graph may hold anything, and ComfyUI says itself what is wrong with it
        return {}
    return asked.refused


class _Refused(MagiError):
    """What a run would refuse to do. argument: where it is said."""

    def __init__(self, argument: str, error: MagiError) -> None:
        super().__init__(str(error))
        self.argument = argument


@contextmanager
def _refusing(argument: str) -> Iterator[None]:
    try:
        yield
    except MagiError as error:
        raise _Refused(argument, error) from None


@dataclass(frozen=True, eq=False)
class _Incoming:
    """A state that a node goes on from. exact: it is made, or nothing is computed for it. known: so are its keys.
    sure: it has the shape that it will have."""

    state: SamplerState
    exact: bool
    known: bool
    sure: bool = True


_Told = tuple[_Incoming, Planning, bool, tuple[str, ...]]
"""From what a node goes on, what it would do, whether its words are known as they will be read, and notes."""


class _Unread:
    """In place of a text encoder: what would come of words is known by name, and nothing is read."""

    def __init__(self, origin_of: Callable[[str], str]) -> None:
        self._origin_of = origin_of

    def origin(self, prompt: str) -> str:
        return self._origin_of(prompt) or f"unknown: {prompt}"

    def encode(self, prompt: str) -> PromptEmbedding:
        raise AssertionError("a plan reads no words")


class _Graph:
    """One graph that is asked about. words: False: keys are not needed, and no text encoder is looked at for them.
    most: chunks that are looked at. refused: what is sure to fail, by node: argument and sentence."""

    def __init__(self, graph: Graph, *, most: int, words: bool = True) -> None:
        self.words, self.most, self.refused = words, most, dict[str, tuple[str, str]]()
        self.graph, self.recipes = graph, Recipes(graph, fingerprints())
        self.given = Given(graph, self.recipes, words=words)
        self._after: dict[str, _Incoming | MagiError] = {}
        self._chunks = 0
        self._heard = HeardIn(graph)

    def plans(self) -> list[dict[str, Any]]:
        samplers = [name for name, node in self.graph.items() if class_of(node) in SAMPLERS]
        if len(samplers) > MOST_SAMPLERS:
            raise MagiError(f"a workflow with {len(samplers)} nodes that sample is not looked at, only {MOST_SAMPLERS}")
        for name in samplers:
            self.recipes.of(name)
        ordered = [name for name in self.recipes.known if name in set(samplers)]
        return [{"node_id": name} | self._plan(name) for name in ordered]

    def look_behind(self) -> None:
        """What is sure to fail in nodes that take what those that sample make, when these are planned."""
        for name, node in self.graph.items():
            look = BEHIND.get(class_of(node))
            try:
                if look is not None:
                    look(self, name)
            except _Refused as error:
                self.refused[name] = (error.argument, str(error))
            except MagiError:  # not known yet, or said at the node before
                continue

    def _look_at_rewind(self, name: str) -> None:
        before = self._state(self.given.link(name, "state"))
        with _refusing("chunks" if before.sure else ""):
            rewind(before.state, self.given.chunks_of_rewind(self.graph[name]))

    def _look_at_decode(self, name: str) -> None:
        before = self._state(self.given.link(name, "state"))
        with _refusing("state" if before.sure else ""):
            check_memory(before.state)

    def _look_at_prompt(self, name: str) -> None:
        story = str(self.given.link(name, "storyboard")[0])
        board = self.given.board(story)
        with _refusing("chunk"):
            self.given.of_board(self.graph[name], board, 0)

    def _plan(self, name: str) -> dict[str, Any]:
        try:
            self._count(0)
            return self._planned(name)
        except MagiError as error:
            if isinstance(error, _Refused):
                self.refused[name] = (error.argument, str(error))
            self._after[name] = MagiError(error)  # not `error` itself: it would hold the state that was planned with
        except Exception as error:  # a graph may hold anything, and a page only wants to know
            logging.exception("MAGI: no plan of node %s", printable(name))
            self._after[name] = MagiError(f"this node cannot be planned: {echo(error)}")
        return {"error": str(self._after[name])}

    def _planned(self, name: str) -> dict[str, Any]:
        widgets = self.given.widgets(name)
        model, known_model = self.given.model(self.given.link(name, "model"))
        ways = {"MagiSecondPass": self._restyled, "MagiRetouch": self._retouched}
        incoming, told, known_words, notes = ways.get(class_of(self.graph[name]), self._longer)(name, model, widgets)
        chunks = len(told.directions) + incoming.state.finished
        every = incoming.state.settings.longest_range is None  # every chunk reads all before it
        self._count(chunks if not every else max(chunks, chunks * chunks // MOST_READ))
        with _refusing("conditioning" if incoming.sure else ""):
            extension = told.plan()
        known = known_model and known_words and incoming.known
        exact = known and incoming.exact and not self._saved_before(widgets, extension)
        made = MADE.find(self.recipes.of_link([name, 0]), SamplerState)
        nothing_to_do = exact and extension.cost.total == 0
        self._after[name] = (
            _Incoming(made, True, True)
            if made is not None
            else _Incoming(_after(extension), nothing_to_do, known, incoming.sure)
        )
        heard = self._heard.with_node(name, incoming.state)
        said = (*filter(None, notes), *told.notes, *extension.notes)
        payload = _payload(extension, said, known, incoming.known, heard) | {
            "seconds": self._seconds(name, extension, model)
        }
        keys = [chunk["key"] for chunk in payload["chunks"] if chunk["key"] and self.words]
        return payload | {"exact": exact, "clips": MEMORY.clips(keys), "stills": MEMORY.stills(keys)}

    def _seconds(self, name: str, extension: Extension, model: Model) -> float | None:
        look = look_cost(model.config, extension.begun.width, extension.begun.height)
        return SPEEDS.seconds(extension, model.device, look, is_link(inputs_of(self.graph[name]).get("vae")))

    def _longer(self, name: str, model: Model, widgets: Mapping[str, Any]) -> _Told:
        conditioning = self.given.conditioning(self.given.link(name, "conditioning"))
        if class_of(self.graph[name]) == "MagiChunkSampler":
            engine, incoming, notes = self._begun(name, model, widgets)
        else:
            engine, incoming, notes = model.engine(), self._state(self.given.link(name, "state")), ()
        with _refusing("conditioning" if incoming.sure else ""):
            told = planning(_for(engine, incoming), incoming.state, conditioning.wire(), asked(widgets))
        return incoming, told, conditioning.known, notes

    def _restyled(self, name: str, model: Model, widgets: Mapping[str, Any]) -> _Told:
        is_take = is_link(inputs_of(self.graph[name]).get("state"))
        incoming, notes = self._sized_take(name, widgets) if is_take else self._encoded_video(name, model, widgets)
        begun = second_pass.begin(model.engine(), widgets, incoming.state, is_take=is_take)
        said, engine = self._said(name), self._reading(name, _for(begun.engine, incoming))
        told = restyling(
            engine, begun.state, incoming.state, None if said is None else said.wire(), widgets["strength"]
        )
        return incoming, told, self._knows(name, said, told.directions), (*notes, *begun.notes)

    def _retouched(self, name: str, model: Model, widgets: Mapping[str, Any]) -> _Told:
        incoming = self._state(self.given.link(name, "state"))
        self.given.link(name, "text_encoder")
        said, engine = self._said(name), self._reading(name, _for(model.engine(), incoming))
        how = {each: widgets[each] for each in ("first", "last", "strength", "join", "reroll")}
        with _refusing("last" if incoming.sure else ""):
            check_places(incoming.state, how["first"], how["last"], how["join"])
        told = retouching(engine, incoming.state, None if said is None else said.wire(), **how)
        anew = told.directions[: how["last"] + 1 - how["first"]]
        return incoming, told, self._knows(name, said, anew), ()

    def _said(self, name: str) -> Conditioning | None:
        """What is said about chunks that are made anew; None: what the take says itself."""
        link = inputs_of(self.graph[name]).get("conditioning")
        return self.given.conditioning(link) if is_link(link) else None

    def _reading(self, name: str, engine: Engine) -> Engine:
        """The engine with what stands for the text encoder of a node."""
        encoder = _Unread(lambda prompt: self.given.origin(name, prompt, clean=True))
        return reading(engine, encoder if is_link(inputs_of(self.graph[name]).get("text_encoder")) else None)

    def _knows(self, name: str, said: Conditioning | None, directions: Sequence[Direction]) -> bool:
        """Whether it is known what becomes of the words of chunks that are made anew."""
        if said is not None:
            return said.known
        read = {prompt for prompt in map(prompt_of, directions) if isinstance(prompt, str)}
        return all(self.given.origin(name, prompt, clean=True) for prompt in read)

    def _sized_take(self, name: str, widgets: Mapping[str, Any]) -> tuple[_Incoming, tuple[str, ...]]:
        """The take at the size asked for, and what is done to it."""
        incoming = self._state(self.given.link(name, "state"))
        take, notes = second_pass.sized(_without_numbers(incoming.state), widgets)
        return replace(incoming, state=take), notes

    def _encoded_video(self, name: str, model: Model, widgets: Mapping[str, Any]) -> tuple[_Incoming, tuple[str, ...]]:
        """The take that a video is, without its latents."""
        width, height = second_pass.size_of(model.size, widgets)
        given = MADE.find(source_recipe(self.recipes, name, (width, height)), Prefix)
        if given is None:
            raise MagiError("the video is not encoded yet: the plan is known when it was")
        begun = model.engine().begin(width=width, height=height, fps=widgets["fps"])
        latents, sound = torch.empty(given.shape, device="meta"), None if given.sound is None else given.sound()
        vae = given.vae or begun.vae
        state = replace(begun, prefix=latents, prefix_key=given.key, end=given.end, sound=sound, vae=vae)
        return _Incoming(state, True, True), ()

    def _count(self, chunks: int) -> None:
        """`MagiError` from where on there are too many: for all nodes that come after, too."""
        self._chunks += chunks
        if self._chunks > self.most:
            raise MagiError(f"a plan looks at up to {self.most:,} chunks of a workflow, and here are more")

    def _begun(self, name: str, model: Model, widgets: Mapping[str, Any]) -> tuple[Any, _Incoming, tuple[str, ...]]:
        link = inputs_of(self.graph[name]).get("prefix")
        if not is_link(link):
            begun = _begin(model, widgets)
            return begun.engine, _Incoming(begun.state, True, True), begun.notes
        made = MADE.find(self.recipes.of_link(link), Prefix)
        given = made or unencoded_prefix(self.graph, link, model.config.latent_channels)
        if given is None:
            raise MagiError("what the video starts with is not encoded yet: the plan is known when it was")
        rows, columns = (8 * side for side in given.shape[-2:])
        begun = _begin(model, {**widgets, "height": rows, "width": columns})
        latents = torch.empty(given.shape, device="meta")
        sound = None if given.sound is None else given.sound()
        state = replace(begun.state, prefix=latents, prefix_key=given.key, filled=given.filled, sound=sound)
        state = replace(state, vae=given.vae or state.vae)
        is_made = made is not None
        return begun.engine, _Incoming(state, is_made, is_made, is_made), begun.notes

    def _state(self, link: Any) -> _Incoming:
        """What comes in: made, or as its plan would make it."""
        back: list[int] = []
        while True:
            made = MADE.find(self.recipes.of_link(link), SamplerState)
            name = str(link[0])
            if made is not None or name in self._after:
                break
            node = self.graph[name]
            if class_of(node) == "MagiLoadState":
                made = outline(inputs_of(node))
                break
            before = inputs_of(node).get("state")
            if class_of(node) not in PASS_STATE or not is_link(before):
                raise MagiError("the video to go on with is not loaded yet: the plan is known when it was")
            if class_of(node) == "MagiRewind":
                back.append(self.given.chunks_of_rewind(node))
            link = before
        found = _Incoming(made, True, True) if made is not None else self._after[name]
        if isinstance(found, MagiError):
            raise MagiError(f"the node before this one cannot run: {found}")
        state = found.state
        for chunks in reversed(back):
            state = rewind(state, chunks)
        return replace(found, state=state)

    def _saved_before(self, widgets: Mapping[str, Any], extension: Extension) -> bool:
        """Whether a take on the disk may spare some of the work."""
        name, state = widgets["autosave"], extension.begun
        if not name.strip():
            return False
        path = autosave_path(resolved(name, width=state.width, height=state.height, graph=self.graph))
        return extension.cost.total > 0 and (path.exists() or path.with_name(f"{path.name}.parts").exists())


BEHIND: dict[str, Callable[[_Graph, str], None]] = {
    "MagiRewind": _Graph._look_at_rewind,
    "MagiVAEDecode": _Graph._look_at_decode,
    "MagiStoryboardPrompt": _Graph._look_at_prompt,
}


def _begin(model: Model, widgets: Mapping[str, Any]) -> Begun:
    with _refusing("steps"):
        begun = begin(model.engine(), widgets, None)
        check_schedule(begun.engine.settings, model.config.distill)
        return begun


def _payload(
    extension: Extension, notes: tuple[str, ...], known: bool, known_past: bool, heard: Heard | None
) -> dict[str, Any]:
    chunks, state = extension.chunks, extension.begun
    if not known:
        chunks = tuple(chunk if chunk.kind == "kept" and known_past else replace(chunk, key="") for chunk in chunks)
    first = chunks[0].index if chunks else 0
    size = (state.fps, state.width, state.height)
    return asdict(Plan(first, chunks, extension.cost.total, None, *size, notes, heard))


def _for(engine: Engine, incoming: _Incoming) -> Engine:
    """The engine as it will be: where something is made before, pages that are there now may be gone by then."""
    return engine if incoming.exact else engine.copy(cache=_without_pages(engine.cache))


def _without_pages(cache: EngineCache) -> EngineCache:
    """The same finished chunks and frontiers, and no page."""
    return cache.with_page_budgets()


def _without_numbers(take: SamplerState) -> SamplerState:
    """The take with the shapes of its latents alone, where their keys are known: resizing them takes no time."""
    chunks = [replace(record, latent=record.latent.to("meta")) if record.at.key else record for record in take.chunks]
    prefix = None if take.prefix is None else take.prefix.to("meta")
    return replace(take, chunks=tuple(chunks), prefix=prefix)


def _after(extension: Extension) -> SamplerState:
    """The state that a run would end with; its latents have shapes and no numbers."""
    state = extension.begun
    nothing, latent = torch.empty(0, device="meta"), torch.empty(state.latent_shape, device="meta")
    starts = {
        index: part.frontier.run_start
        for part in extension.parts
        if isinstance(part, Piece)
        for index in range(part.frontier.oldest, part.last + 1)
    }
    stop, window = len(extension.chunks), state.settings.window
    finished = stop if extension.drain else max(state.finished, stop - window + 1)
    for index in range(state.finished, finished):
        run_start = starts.get(index, extension.run_start)
        new = extension.new[index]
        state = state.with_chunk(new.kept or ChunkRecord(new.at, latent, run_start))
    start = max([extension.run_start, *starts.values()])
    flying = [
        InFlight(new.at, ChunkText(nothing, new.text.key), latent, stop - index, source=new.source)
        for index, new in extension.new.items()
        if index >= max(start, stop - window + 1)
    ]
    last = extension.new.get(stop - 1)
    flown = "" if not stop else state.flown_key(stop - 1) if last is None else last.at.key
    frontier = Frontier(tuple(flying), stop, start, flown) if stop else None
    whole = frontier is not None and len(flying) == min(window - 1, stop - start)
    return replace(state, frontier=extension.frontier or (frontier if whole else None), end=extension.end)
