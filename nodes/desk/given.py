"""What a graph that has not run says: what is typed on its nodes, its models, and the words of its chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from magi_core.errors import MagiError, echo
from magi_core.story.storyboard import Storyboard, parse_storyboard
from magi_core.text import TextEncoder

from .. import chunk_sampler, extend, retouch, second_pass
from ..host.text_encoder import text_encoder_of
from ..storyboard import MagiStoryboard
from ..text_encode import SWITCHES
from ..ui.checks import Checks, refuse
from .made import MADE, Conditioning, Model, Words
from .recipes import Graph, Recipes, class_of, inputs_of, is_link
from .unloaded import unloaded_model, unloaded_text_encoder

SAMPLERS: dict[str, tuple[Any, Checks]] = {
    "MagiChunkSampler": (chunk_sampler.MagiChunkSampler, chunk_sampler.CHECKS),
    "MagiExtend": (extend.MagiExtend, extend.CHECKS),
    "MagiSecondPass": (second_pass.MagiSecondPass, second_pass.CHECKS),
    "MagiRetouch": (retouch.MagiRetouch, retouch.CHECKS),
}
KINDS: dict[str, Callable[[Any], bool]] = {
    "INT": lambda value: type(value) is int,
    "FLOAT": lambda value: type(value) in (int, float),
    "BOOLEAN": lambda value: type(value) is bool,
    "STRING": lambda value: isinstance(value, str),
    "COMBO": lambda value: isinstance(value, str),
}


class Given:
    """Reads one graph. Raises `MagiError` in the artist's words for what is not there, not known yet, or wrong.

    words: False: what becomes of words is not needed, and no text encoder is looked at for it.
    """

    def __init__(self, graph: Graph, recipes: Recipes, *, words: bool = True) -> None:
        self.graph, self.recipes, self.words = graph, recipes, words
        self._boards: dict[tuple[str, float], Storyboard] = {}
        self._unloaded: dict[str, Model] = {}
        self._unreadable: set[str] = set()

    def link(self, name: str, slot: str) -> Any:
        link = inputs_of(self.graph[name]).get(slot)
        if not is_link(link):
            raise MagiError(f"connect {slot}")
        return link

    def widgets(self, name: str) -> dict[str, Any]:
        """What is typed on a node, checked as ComfyUI would."""
        found = {}
        given = inputs_of(self.graph[name])
        node, checks = SAMPLERS[class_of(self.graph[name])]
        for each in node.define_schema().inputs:
            kind = KINDS.get(getattr(each, "io_type", ""))
            if kind is not None:
                found[each.id] = self._typed(each, given.get(each.id, each.default), kind)
        links = {key: value for key, value in given.items() if is_link(value)}
        refuse({key: check for key, check in checks.items() if key != "autosave"}, links | found)
        return found

    def _typed(self, each: Any, value: Any, kind: Callable[[Any], bool]) -> Any:
        if is_link(value):
            value = self.from_node(each.id, value)
        if each.io_type == "FLOAT" and kind(value):
            value = float(value)
        if each.io_type == "INT" and isinstance(value, float) and value.is_integer():
            value = int(value)
        low, high = getattr(each, "min", None), getattr(each, "max", None)
        if not kind(value):
            raise MagiError(f"{each.id} cannot be {echo(value)}")
        if low is not None and high is not None and not low <= value <= high:
            raise MagiError(f"{each.id} must be from {low} to {high}: {echo(value)}")
        return value

    def from_node(self, name: str, link: Any) -> Any:
        """What a node says that only holds a value, or counts the chunks of a storyboard."""
        node = self.graph[str(link[0])]
        value = inputs_of(node).get("value")
        if class_of(node).startswith("Primitive") and not is_link(value) and value is not None:
            return value
        if class_of(node) == "MagiStoryboard" and link[1] == 2:
            return len(self.board(str(link[0])))
        raise MagiError(f"{name} comes from another node: the plan is known when that has run")

    def model(self, link: Any) -> tuple[Model, bool]:
        """The model at a link, and whether it is the very one."""
        recipe = self.recipes.of_link(link)
        found = MADE.find(recipe, Model)
        if found is not None:
            return found, True
        alike = MADE.find(f"like {recipe}", Model)
        if alike is not None:
            return replace(alike, cache=None), False
        node = self.graph[str(link[0])]
        before = inputs_of(node).get("model")
        if class_of(node) in ("MagiLoRA", "MagiModelSettings") and is_link(before):
            model, known = self.model(before)
            same = known and class_of(node) == "MagiModelSettings"
            return replace(model, cache=model.cache if same else None), same
        if class_of(node) == "MagiLoadModel":
            if recipe not in self._unloaded:
                self._unloaded[recipe] = unloaded_model(inputs_of(node))
            return self._unloaded[recipe], True
        raise MagiError("what this will cost is known when its model was loaded once: run it")

    def conditioning(self, link: Any) -> Conditioning:
        found = MADE.find(self.recipes.of_link(link), Conditioning)
        if found is not None:
            return found
        name = str(link[0])
        node = self.graph[name]
        if class_of(node) == "MagiStoryboard" and link[1] == 0:
            board, clean = self.board(name), inputs_of(node).get("clean", True) is not False
            origins: dict[str, str] = {
                prompt: self.origin(name, prompt, clean) for prompt in dict.fromkeys(board.prompts)
            }
            chunks = (Words(spec, spec.prompt, None, origins[spec.prompt]) for spec in board.chunks)
            return Conditioning(tuple(chunks), False)
        if class_of(node) == "MagiTextEncode":
            return Conditioning((self._encoded(name),), True)
        raise MagiError("what is said comes from a node that has not run yet: the plan is known when it has")

    def _encoded(self, name: str) -> Words:
        given = inputs_of(self.graph[name])
        prompt = self.text(name, "prompt")
        on = {each: given.get(each, default) for each, (_, default, _) in SWITCHES.items()}
        names = tuple(token for each, (token, _, _) in SWITCHES.items() if on[each] is True)
        return Words(None, prompt, names, self.origin(name, prompt, given.get("clean", True) is not False))

    def text(self, name: str, slot: str) -> str:
        value = inputs_of(self.graph[name]).get(slot, "")
        if isinstance(value, list) and is_link(value):
            node = self.graph[str(value[0])]
            story = inputs_of(node).get("storyboard")
            if class_of(node) == "MagiStoryboardPrompt" and is_link(story):
                return self.of_board(node, self.board(str(story[0])), value[1])
            value = self.from_node(slot, value)
        if not isinstance(value, str):
            raise MagiError(f"{slot} must be text: {echo(value)}")
        return value

    def of_board(self, node: Any, board: Storyboard, output: int) -> str:
        chunk = inputs_of(node).get("chunk", 0)
        if is_link(chunk):
            chunk = self.from_node("chunk", chunk)
        if type(chunk) is not int or not -len(board) <= chunk < len(board):
            raise MagiError(f"this storyboard has chunks 0 to {len(board) - 1}; there is no chunk {echo(chunk)}")
        return board.chunks[chunk].tags if output else board.chunks[chunk].prompt

    def board(self, name: str) -> Storyboard:
        if class_of(self.graph.get(name)) != MagiStoryboard.define_schema().node_id:
            raise MagiError("the storyboard comes from a node that is not known")
        text, fps = self.text(name, "text"), inputs_of(self.graph[name]).get("fps", 24)
        if type(fps) not in (int, float) or not 1 <= fps <= 240:
            raise MagiError(f"fps must be from 1 to 240: {echo(fps)}")
        if (text, fps) not in self._boards:
            self._boards[text, fps] = parse_storyboard(text, fps=fps)
        return self._boards[text, fps]

    def origin(self, name: str, prompt: str, clean: bool) -> str:
        """What the embedding of a prompt would be called, "" where its encoder is not known."""
        link = inputs_of(self.graph[name]).get("text_encoder")
        encoder = self._encoder(link) if is_link(link) else None
        if encoder is None or not hasattr(encoder, "origin"):
            return ""
        found = text_encoder_of(encoder, clean=clean).origin(prompt)
        return found if isinstance(found, str) else ""

    def _encoder(self, link: Any) -> Any:
        """The text encoder at a link, or one that calls embeddings what it will; None where that is not known."""
        recipe, node = self.recipes.of_link(link), self.graph[str(link[0])]
        found = MADE.find(recipe, object)
        if found is not None or not self.words or class_of(node) != "MagiLoadTextEncoder":
            return found
        unread = MADE.find(f"unread {recipe}", TextEncoder)
        if unread is None and recipe not in self._unreadable:
            try:
                unread = unloaded_text_encoder(inputs_of(node))
            except MagiError:  # said by the node itself; the price is known without it
                self._unreadable.add(recipe)
            else:
                MADE.note(f"unread {recipe}", unread)
        return unread

    def chunks_of_rewind(self, node: Any) -> int:
        chunks = inputs_of(node).get("chunks", -1)
        chunks = self.from_node("chunks", chunks) if is_link(chunks) else chunks
        if type(chunks) is not int:
            raise MagiError(f"chunks must be a whole number: {echo(chunks)}")
        return chunks
