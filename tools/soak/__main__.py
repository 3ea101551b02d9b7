"""`python -m tools.soak --minutes 120`: an artist's edits, forks, extends, interrupts, saves and loads, at random.

They run in a real ComfyUI, whose memory, threads and handles are sampled. Every take is compared with the same render
in a second ComfyUI, which forgets everything before. Exit code 1 where a run fails, a take differs by a bit, or what
the first one holds grows.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magi_core import load_state
from tools.comfyui.find import find_comfyui
from tools.comfyui.server import Server, base_directory
from tools.soak.measure import Sample, median
from tools.soak.recipe import MOST_RUNS, Inputs, Recipe

LIMIT = 300.0  # seconds for one prompt
FORGETTING = (0.3, 2.0, 10.0)  # seconds until the server has heard that it should forget; longer on a busy machine
GROWTH = {"memory": 1.1, "threads": 1.1, "handles": 1.1}  # of the last third over the one before
ACTIONS = ("new", "edit", "edit", "extend", "extend", "fork", "interrupt", "save and load")


class Remembered(Exception):
    """Nodes that should have run did not."""


@dataclass
class Soak:
    server: Server
    forgetful: Server
    chance: random.Random
    inputs: Inputs
    recipe: Recipe
    known: list[Recipe] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def step(self) -> None:
        """One action, one finished take, one comparison."""
        action = self.chance.choice(ACTIONS)
        self.counts[action] += 1
        self._change(action)
        if action == "interrupt":
            self._interrupt()
        take = self._run(action)
        if take is not None:
            self.apart.append(self._apart(take))
            if self.apart[-1] != 0:
                self.faults.append(f"step {len(self.apart)}, {action}: apart by {self.apart[-1]:.2g}: {self.recipe}")
        self.known = [*self.known[-20:], replace_loaded(self.recipe)]
        self.samples.append(Sample.of(self.server.process, (time.monotonic() - self.begun) / 60))

    def _apart(self, take: Path) -> float:
        """The largest difference of `take` from a fresh render."""
        graph = replace_loaded(self.recipe).graph(self.inputs, decode=False)
        for patience in FORGETTING:
            self.forgetful.post("/free", {"unload_models": True, "free_memory": True})
            time.sleep(patience)
            try:
                fresh = _saved(self.forgetful, graph, whole=True)
                break
            except Remembered:  # it was asked to run before it had come to forgetting
                continue
        else:
            raise RuntimeError("the second ComfyUI does not forget")
        assert fresh is not None, "it forgets, so it saves"
        apart = float((load_state(take).latents - load_state(fresh).latents).abs().max())
        fresh.unlink()
        return apart

    def _change(self, action: str) -> None:
        recipe = self.recipe
        if action == "fork" and self.known:
            recipe = self.chance.choice(self.known)
        if action == "new":
            recipe = Recipe.new(self.chance)
        elif action in ("edit", "interrupt"):
            recipe = recipe.edited(self.chance)
        elif action in ("extend", "fork", "save and load"):
            recipe = recipe.extended(self.chance) if len(recipe.runs) < MOST_RUNS else recipe.edited(self.chance)
        self.recipe = recipe

    def _interrupt(self) -> None:
        """Begin, and stop somewhere; nothing but the interrupt may be told."""
        prompt = self.server.submit(self.recipe.graph(self.inputs, decode=True), "soak")
        time.sleep(self.chance.random() * 2)
        self.server.post("/interrupt", {})
        told = [kind for kind, _ in self.server.wait_for(prompt, LIMIT)["status"]["messages"]]
        self.counts["interrupted" if "execution_interrupted" in told else "interrupted too late"] += 1
        if "execution_error" in told:
            self.faults.append(f"an interrupt became an error: {self.server.log_tail(20)}")

    def _run(self, action: str) -> Path | None:
        """The take that ComfyUI saves."""
        folder = self.server.base / "output" / "magi"
        before = set(folder.glob("*.magi"))
        try:
            take = _saved(self.server, self.recipe.graph(self.inputs, decode=self.chance.random() < 0.3))
        except RuntimeError as error:
            self.faults.append(f"{action} failed: {error}")
            return None
        for old in (*before, *(self.server.base / "output").glob("*.mp4")):
            if old.name not in self.recipe.loaded:
                old.unlink()
        if take is None:
            self.counts["answered by ComfyUI's cache"] += 1
        elif action == "save and load":
            self.recipe = self.recipe.reloaded(f"magi/{take.name} [output]")
        return take


def _saved(server: Server, graph: dict[str, Any], *, whole: bool = False) -> Path | None:
    """The take that a graph saves; None where nothing had changed since the last run. whole: every node must run."""
    folder = server.base / "output" / "magi"
    before = set(folder.glob("*.magi"))
    entry = server.wait_for(server.submit(graph, "soak"), LIMIT)
    server.post("/history", {"clear": True})
    if entry["status"]["status_str"] != "success":
        raise RuntimeError(str(entry["status"]["messages"][-1])[:2000])
    cached = [
        node for kind, data in entry["status"]["messages"] if kind == "execution_cached" for node in data["nodes"]
    ]
    made = next(iter(set(folder.glob("*.magi")) - before), None)
    if whole and cached:
        if made is not None:
            made.unlink()
        raise Remembered(cached)
    return made


def replace_loaded(recipe: Recipe) -> Recipe:
    """The same video made whole: its file will be gone."""
    return Recipe(recipe.seed, recipe.runs)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    comfyui = find_comfyui()
    if comfyui is None:
        print("no ComfyUI: set COMFYUI_PATH", file=sys.stderr)
        return 2
    chance = random.Random(options.seed)
    with (
        tempfile.TemporaryDirectory(prefix="magi-soak-") as folder,
        Server(comfyui, base_directory(Path(folder) / "base")) as server,
        Server(comfyui, base_directory(Path(folder) / "forgetful")) as forgetful,
    ):
        inputs = Inputs(server.get("/object_info"))
        soak = Soak(server, forgetful, chance, inputs, Recipe.new(chance))
        while time.monotonic() < soak.begun + 60 * options.minutes and len(soak.faults) < 10:
            soak.step()
            if len(soak.samples) % 20 == 0:
                print(f"{len(soak.samples)} steps, {soak.samples[-1]}", flush=True)
        left = [path for path in server.base.rglob("*") if path.name.endswith((".magi-lock", ".part", ".parts"))]
    return report(soak, left)


def report(soak: Soak, left: list[Any]) -> int:
    """Print what was done and what it came to."""
    print(dict(soak.counts))
    third = max(1, len(soak.samples) // 3)
    parts = [soak.samples[k * third : (k + 1) * third] or soak.samples[-1:] for k in range(3)]
    faults = soak.faults + [f"left behind: {path}" for path in left]
    for kind, most in GROWTH.items():
        first, second, last = (median(part, kind) for part in parts)
        print(f"{kind}: {first:.0f}, {second:.0f}, {last:.0f} (medians of the thirds)")
        if last > second * most:
            faults.append(f"{kind} grows")
    same = soak.apart.count(0.0)
    print(f"{len(soak.apart)} takes, {same} bit for bit as a fresh render, largest difference {max(soak.apart):.2g}")
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
