"""What a video is made from, as a graph for ComfyUI, and how an artist changes it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from magi_core.story.storyboard import Storyboard

PROMPTS = (
    "a big red circle moves right on a gray background",
    "it turns blue",
    "it moves left",
    "a small green square moves up",
    "it grows",
    "it stops",
)
SIDE, STEPS, MOST_RUNS, MOST_CHUNKS = 64, 4, 3, 3


@dataclass(frozen=True)
class Recipe:
    """runs: prompts of each, one a chunk; the first is sampled, the others are extends. loaded: the saved take that
    holds the first runs, and how many of them."""

    seed: int
    runs: tuple[tuple[str, ...], ...]
    loaded: str = ""
    loaded_runs: int = 0

    @classmethod
    def new(cls, chance: random.Random) -> Recipe:
        return cls(chance.randrange(1 << 20), (_prompts(chance),))

    def edited(self, chance: random.Random) -> Recipe:
        """One prompt is another; what was loaded with it is made again."""
        runs = [list(run) for run in self.runs]
        run = chance.choice(runs)
        run[chance.randrange(len(run))] = chance.choice(PROMPTS)
        return Recipe(self.seed, tuple(map(tuple, runs)))

    def extended(self, chance: random.Random) -> Recipe:
        return replace(self, runs=(*self.runs, _prompts(chance)))

    def reloaded(self, name: str) -> Recipe:
        return replace(self, loaded=name, loaded_runs=len(self.runs))

    def graph(self, inputs: Inputs, *, decode: bool) -> dict[str, Any]:
        """For ComfyUI's API. The take is saved as "soak", the video as "soak"."""
        graph = {
            "model": inputs.node("MagiLoadModel", model="nano"),
            "encoder": inputs.node("MagiLoadTextEncoder", model="nano"),
            "vae": inputs.node("MagiLoadVAE", model="nano"),
        }
        state: list[Any] = []
        if self.loaded:
            graph["load"] = inputs.node("MagiLoadState", take=self.loaded, model=["model", 0])
            state = ["load", 0]
        for number, run in list(enumerate(self.runs))[self.loaded_runs :]:
            text = Storyboard.of(run).to_text()
            graph[f"board{number}"] = inputs.node("MagiStoryboard", text_encoder=["encoder", 0], text=text)
            given = {"model": ["model", 0], "conditioning": [f"board{number}", 0], "chunks": 1}
            if not number:
                given |= {"width": SIDE, "height": SIDE, "steps": STEPS, "seed": self.seed}
            kind = "MagiExtend" if number else "MagiChunkSampler"
            graph[f"run{number}"] = inputs.node(kind, **given, **({"state": state} if number else {}))
            state = [f"run{number}", 0]
        graph["save"] = inputs.node("MagiSaveState", state=state, filename_prefix="soak")
        if decode:
            graph["file"] = inputs.node("MagiDecodeToFile", vae=["vae", 0], state=state, filename_prefix="soak")
        return graph


class Inputs:
    """Nodes with what their widgets start with. about: ComfyUI's /object_info."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.about = about

    def node(self, kind: str, **given: Any) -> dict[str, Any]:
        kinds = self.about[kind]["input"]
        widgets = {**kinds.get("required", {}), **kinds.get("optional", {})}
        defaults = {name: _default(widget) for name, widget in widgets.items()}
        values = {name: value for name, value in defaults.items() if value is not None}
        return {"class_type": kind, "inputs": values | given}


def _default(widget: Sequence[Any]) -> Any:
    kind, options = widget[0], widget[1] if len(widget) > 1 else {}
    choices = kind if isinstance(kind, list) else options.get("options")
    return options.get("default", choices[0] if choices else None)


def _prompts(chance: random.Random) -> tuple[str, ...]:
    return tuple(chance.choice(PROMPTS) for _ in range(chance.randint(1, MOST_CHUNKS)))
