"""What nodes have made in this process, by recipe: enough to plan what comes after it, and no more.

Nothing here keeps a model, a state or a tensor alive: those are held weakly, of others only names are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from threading import RLock
from typing import Any, TypeVar
from weakref import ref

import torch
from comfy_execution.utils import get_executing_context
from torch import nn

from magi_core.cache.engine_cache import EngineCache
from magi_core.config import DiTConfig, SamplingSettings
from magi_core.digest import digest
from magi_core.dit import DiT
from magi_core.engine import Engine
from magi_core.errors import MagiError
from magi_core.state import SamplerState
from magi_core.story.chunk import ChunkSpec
from magi_core.story.direction import DirectedPrompt
from magi_core.text import PromptEmbedding, SpecialTokens
from magi_core.video.sound import Sound

from ..wires import Prompt, Prompts
from .recipes import Fingerprints, Graph, Recipes, inputs_of, is_link

T = TypeVar("T")
MOST = 1000
PASSES_ON = {"MagiLoRA", "MagiModelSettings"}  # make a model of the same kind as the one that comes in


@dataclass(frozen=True, eq=False)
class Model:
    """What planning needs of an engine: no weights. cache: None or dead: it remembers nothing."""

    config: DiTConfig
    dtype: torch.dtype
    fingerprint: str
    weights_digest: str
    settings: SamplingSettings
    special_tokens: SpecialTokens | None
    size: tuple[int, int]
    device: str
    fp8_rows: bool = False
    own_vae: str = ""
    cache: ref[EngineCache] | None = None

    @classmethod
    def of(cls, engine: Engine) -> Model:
        return cls(
            engine.dit.config,
            engine.dit.dtype,
            engine.fingerprint,
            engine.weights_digest,
            engine.settings,
            engine.special_tokens,
            engine.size,
            str(engine.cache.pages.device),
            engine.dit.fp8_rows,
            engine.own_vae,
            ref(engine.cache),
        )

    def engine(self) -> Engine:
        """An engine that plans as the real one does, and cannot run."""
        cache = None if self.cache is None else self.cache()
        return Engine(
            _sketch(self.config, self.dtype, self.fp8_rows),
            settings=self.settings,
            special_tokens=self.special_tokens,
            fingerprint=self.fingerprint,
            weights_digest=self.weights_digest,
            own_vae=self.own_vae,
            cache=EngineCache("cpu") if cache is None else cache,
            size=self.size,
        )


@lru_cache(maxsize=8)
def _sketch(config: DiTConfig, dtype: torch.dtype, fp8_rows: bool) -> DiT:
    """A transformer without numbers."""
    dit = DiT(config, device="meta", dtype=dtype, fp8_rows=fp8_rows).requires_grad_(False)
    null = dit.y_embedder.null_caption_embedding
    dit.y_embedder.null_caption_embedding = nn.Parameter(torch.zeros(1, 1).expand(null.shape), requires_grad=False)
    return dit


@dataclass(frozen=True)
class Words:
    """A prompt without its tensor. origin: see `PromptEmbedding.key`; "" where it is not known."""

    spec: ChunkSpec | None
    prompt: str
    special_tokens: tuple[str, ...] | None
    origin: str

    def embedding(self) -> PromptEmbedding:
        """One that plans as the real one does; of an unknown origin, like no other."""
        origin = self.origin or f"unknown: {self.prompt}"
        return PromptEmbedding(self.prompt, torch.empty(0, 1), special_tokens=self.special_tokens, origin=origin)


@dataclass(frozen=True)
class Conditioning:
    """What a MAGI_CONDITIONING says. one: it is one prompt, for as many chunks as one likes."""

    chunks: tuple[Words, ...]
    one: bool

    @classmethod
    def of(cls, wire: Prompt | Prompts) -> Conditioning:
        if isinstance(wire, Prompt):
            text = wire.embedding
            return cls((Words(None, text.prompt, text.special_tokens, text.key),), True)
        chunks = ((chunk.spec, chunk.text) for chunk in wire.chunks)
        return cls(tuple(Words(spec, t.prompt, t.special_tokens, t.key) for spec, t in chunks), False)

    @property
    def known(self) -> bool:
        return all(words.origin for words in self.chunks)

    def wire(self) -> Prompt | Prompts:
        """As it travels, without its tensors."""
        if self.one:
            return Prompt.of(self.chunks[0].embedding())
        texts: dict[Words, PromptEmbedding] = {}
        directed = []
        for words in self.chunks:
            same = Words(None, words.prompt, words.special_tokens, words.origin)
            texts.setdefault(same, words.embedding())
            directed.append(DirectedPrompt(words.spec or ChunkSpec(words.prompt), texts[same]))
        return Prompts.of(directed)


@dataclass(frozen=True)
class Prefix:
    """Given latents without their numbers. key, filled, end, vae: see `SamplerState`. sound: the given video's, while
    it is there."""

    shape: tuple[int, ...]
    key: str
    filled: int = 0
    sound: ref[Sound] | None = None
    end: int | None = None
    vae: str = ""


class Made:
    """Things by the recipe of the output they came from; the newest `MOST` of them. Threads may share it."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._found: OrderedDict[str, Any] = OrderedDict()

    def note(self, recipe: str, thing: Any) -> None:
        with self._lock:
            self._found.pop(recipe, None)
            self._found[recipe] = thing
            while len(self._found) > MOST:
                self._found.popitem(last=False)

    def find(self, recipe: str, kind: type[T]) -> T | None:
        with self._lock:
            thing = self._found.get(recipe)
        thing = thing() if isinstance(thing, ref) else thing
        return thing if isinstance(thing, kind) else None


MADE = Made()
_FILES: dict[str, Callable[..., str]] = {}
"""Fingerprints of the classes of this pack; see `knows`."""


def knows(fingerprints: Fingerprints) -> None:
    """From now on recipes of these classes say what is in the files they read."""
    _FILES.update(fingerprints)


def fingerprints() -> Fingerprints:
    return _FILES


def note_run(graph: Graph | None, inputs: Mapping[str, Any], output: SamplerState | None = None) -> None:
    """Note what came into the node that is executed, by its links in `graph`, and the state it made.

    inputs: by name; a thing that cannot be planned with, or is typed, is passed over.
    """
    context = get_executing_context()
    if context is None or not graph or context.node_id not in graph or context.list_index:
        return
    try:
        recipes = Recipes(graph, _FILES)
        for name, value in inputs_of(graph[context.node_id]).items():
            thing = _noted(inputs.get(name))
            if thing is not None and is_link(value):
                MADE.note(recipes.of_link(value), thing)
                if isinstance(thing, Model):
                    _note_before(recipes, graph, value, thing)
        if output is not None:
            MADE.note(recipes.of_link([context.node_id, 0]), ref(output))
    except MagiError:  # a graph that is made while it runs
        return


def source_recipe(recipes: Recipes, node_id: str, size: tuple[int, int]) -> str:
    """Of the video that a node encodes as the source of a second pass, brought to a size in pixels."""
    return digest("source", size, recipes.of_inputs(node_id, ("video", "images", "vae", "fit", "fps")))


def note_source(graph: Graph | None, size: tuple[int, int], source: Prefix) -> None:
    """Note what the node that is executed has encoded."""
    context = get_executing_context()
    if context is None or not graph or context.node_id not in graph or context.list_index:
        return
    try:
        MADE.note(source_recipe(Recipes(graph, _FILES), context.node_id, size), source)
    except MagiError:  # a graph that is made while it runs
        return


def _note_before(recipes: Recipes, graph: Graph, link: Any, model: Model) -> None:
    """A model costs what the ones cost that it was made from."""
    while graph[str(link[0])].get("class_type") in PASSES_ON:
        link = inputs_of(graph[str(link[0])]).get("model")
        if not is_link(link):
            return
        MADE.note(f"like {recipes.of_link(link)}", model)


def _noted(value: Any) -> Any:
    if isinstance(value, Engine):
        return Model.of(value)
    if isinstance(value, Prompt | Prompts):
        return Conditioning.of(value)
    if isinstance(value, SamplerState) or hasattr(value, "origin"):
        return ref(value)
    return value if isinstance(value, Prefix) else None
