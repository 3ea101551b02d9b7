"""One ComfyUI server on a GPU of a few GB: a model of the official shape from a prompt to an mp4, how soon something is
seen of another prompt, and what is said when memory runs out.

What every check found is told as soon as it is known (`tell`). Memory is that of `vram_probe`; "device" is what the
whole process takes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from magi_core.text.kept import PROMPTS
from tools.comfyui.inside.telling import run_checks
from tools.comfyui.results import frames_and_size, videos_and_pictures
from tools.comfyui.server import Server, base_directory
from tools.comfyui_gpu_check.ballast import only
from tools.comfyui_gpu_check.listening import Listener
from tools.comfyui_gpu_check.server_checks import errors_of, with_defaults

GB = 10**9
LIMIT = 95.0  # seconds for one prompt
CLIP_LATER = 1.0  # seconds after the still of a finished chunk, at most
CLIENT = "budget"
NO_ROOM, TOO_LARGE = ("there is not enough memory",), ("is too large here", "does not fit")  # what an artist is told
COLOURS, SHAPES, WAYS = ("red", "blue", "green", "yellow"), ("circle", "square", "star"), ("right", "left", "up")


class Work(NamedTuple):
    """width, height, and another pair of them; what both are where they surely find no room (0: not tried); steps;
    chunks of a workflow."""

    width: int
    height: int
    other: tuple[int, int]
    too_large: int
    steps: int
    chunks: int


LARGE, SMALL = Work(720, 720, (640, 352), 4096, 8, 3), Work(64, 64, (96, 64), 0, 8, 3)


def check_budget(comfyui: Path, base: Path, flags: Sequence[str], gigabytes: float, parts: Sequence[str]) -> int:
    """Start a server in `base` that has a GPU of so many GB (0: the whole of it), and check `parts` of it."""
    if not (base / "custom_nodes").exists():
        base_directory(base)
        for probe in ("vram_probe.py", "budget_probe.py"):
            shutil.copy(Path(__file__).parent / probe, base / "custom_nodes")
    small, budget = "--cpu" in flags, int(gigabytes * GB)
    with nullcontext(0) if small or not budget else only(budget) as left:
        kept = base.parent / "kept"  # weights that were found sound, of other stages too
        shutil.rmtree(kept / PROMPTS.name, ignore_errors=True)
        os.environ |= {"MAGI_CHECK_BUDGET": str(left), "MAGI_CACHE": str(kept)}
        with Server(comfyui, base, flags) as server:
            checks = BudgetChecks(server, SMALL if small else LARGE, left >> 20)
            try:
                return run_checks(checks.all(parts), hopeless=lambda: not server.running)
            finally:
                print(server.log_tail(400), flush=True)


class BudgetChecks:
    """Named checks of one server. left: MiB that the process may take, 0: all."""

    def __init__(self, server: Server, work: Work, left: int) -> None:
        self.server, self.work, self.left = server, work, left
        self.nodes, self.numbers = server.get("/object_info"), count()

    def all(self, parts: Sequence[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
        width, height = self.work.width, self.work.height
        yield "start", self.start
        yield "prompt to mp4", self.whole
        if "first frame" in parts:
            yield f"another prompt, {width}x{height}", lambda: self.first_frame(width, height)
        if "sizes" in parts:
            yield f"another prompt again, {width}x{height}", lambda: self.first_frame(width, height)
            other = "{}x{}".format(*self.work.other)
            yield f"{other}, the first", lambda: self.first_frame(*self.work.other)
            yield f"another prompt, {other}", lambda: self.first_frame(*self.work.other)
        if "no room" in parts:
            yield "memory runs out", self.runs_out
            yield "after that", self.whole
            if self.work.too_large:
                yield "too large", self.too_large
            yield "another prompt after that", lambda: self.first_frame(width, height)

    def start(self) -> dict[str, Any]:
        """The server before it had any model, and what it believes of its GPU."""
        memory, stats = self._memory(reset=True), self.server.get("/system_stats")
        seen = {name: stats["devices"][0][name] >> 20 for name in ("vram_total", "vram_free")}
        told = {"dynamic": memory["dynamic"], "cold": memory["now"], "comfyui sees": seen}
        return told | self.server.get("/magi_check/believed")

    def whole(self) -> dict[str, Any]:
        """From a prompt to an mp4, all of it."""
        graph = self._graph(self.work.width, self.work.height, self.work.chunks)
        self._memory(reset=True)
        self.server.get("/magi_check/marks")
        with Listener(self.server.url, CLIENT) as page:
            started = time.monotonic()
            entry, prompt = self._finished(graph)
            last = page.ended(prompt)
            ended = time.monotonic() if last is None else last.at
            nodes = page.seconds_by_node(ended)
        (video,), _ = videos_and_pictures(self.server, entry)
        frames, size = frames_and_size(video)
        assert (frames, size) == (24 * self.work.chunks, (self.work.width, self.work.height)), (frames, size)
        told = {"seconds": round(ended - started, 1), "nodes": nodes, **self._spent(self._marks()), **self._peaks()}
        return told | {"frames": frames, "size": size, "bytes": video.stat().st_size}

    def first_frame(self, width: int, height: int) -> dict[str, Any]:
        """Another prompt and seed in the same graph: seconds from Run to the first estimate, to a frame of the first
        chunk and to its clip, beside those of its forwards on the GPU. The run is interrupted then."""
        graph = self._graph(width, height, 4)
        self._memory(reset=True)
        self.server.get("/magi_check/marks")
        with Listener(self.server.url, CLIENT) as page:
            started = time.monotonic()
            prompt = self.server.submit(graph, CLIENT)
            queued = time.monotonic() - started
            while not self._shown(page) and page.ended(prompt) is None:
                assert time.monotonic() < started + LIMIT, self.server.log_tail(5)
                time.sleep(0.01)
            self.server.post("/interrupt", {})
            self.server.wait_for(prompt, LIMIT)
            still, clip = page.first("magi.still", index=0), page.first("magi.clip", index=0)
            whole = page.first("magi.still", index=0, t=1.0)  # all there is where the VAE finds no room for a clip
            assert still is not None and whole is not None, "nothing was seen"
            ended = clip or whole
            nodes = page.seconds_by_node(ended.at)
        marks = [mark for mark in self._marks() if mark[1] < ended.at]
        until = min([whole.at, *(mark[1] for mark in marks if mark[0] == "clip")])
        spans = [mark for mark in marks if mark[0] == "forward" and mark[1] < until]
        forwards = sum(mark[3] for mark in spans)
        after = {"queued": queued, "first forward": spans[0][1] - started, "estimate": still.at - started}
        after |= {"first frame": whole.at - started, "last forward": spans[-1][2] - started}
        after |= {} if clip is None else {"clip": clip.at - started}
        told = {name: round(seconds, 2) for name, seconds in after.items()} | {"nodes": nodes}
        told |= {"forwards": round(forwards, 2), "ratio": round((whole.at - started) / forwards, 3)}
        return told | self._spent(marks) | self._peaks()

    def _shown(self, page: Listener) -> bool:
        """Whether all that will be shown of the first chunk is. Its still comes a moment before its clip."""
        whole = page.first("magi.still", index=0, t=1.0)
        waited = whole is not None and time.monotonic() - whole.at > CLIP_LATER
        return waited or page.first("magi.clip", index=0) is not None

    def runs_out(self) -> dict[str, Any]:
        """From the fifth forward on nothing is left of the GPU: what is said, and that it can be released."""
        graph = self._graph(self.work.width, self.work.height, 1)
        self.server.get("/magi_check/squeeze?forward=5")
        try:
            said = self._failure(graph)
            during = self._memory()["now"]
        finally:
            held = self.server.get("/magi_check/release")["held"]
        told = {"said": said, "held": held, "during": during, "after": self._memory(tidy=True)["now"]}
        _check_words(said, NO_ROOM)
        return told

    def too_large(self) -> dict[str, Any]:
        """A size that no run can have on this GPU."""
        graph = self._graph(self.work.too_large, self.work.too_large, 4)
        said = self._failure(graph)
        _check_words(said, TOO_LARGE)
        return {"said": said}

    def _failure(self, graph: dict[str, Any]) -> str:
        """What is said of a graph that cannot be run, when it is queued or later."""
        try:
            entry = self.server.wait_for(self.server.submit(graph, CLIENT), LIMIT)
        except RuntimeError as refused:
            return str(refused)
        (error,) = errors_of(entry)
        return f"{error['exception_type']}: {error['exception_message']}"

    def _finished(self, graph: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """The history entry of a graph that went well, and the id of its prompt."""
        prompt = self.server.submit(graph, CLIENT)
        entry = self.server.wait_for(prompt, LIMIT)
        for error in errors_of(entry):
            raise AssertionError(f"{error['node_type']}: {error['exception_message']}")
        return entry, prompt

    def _memory(self, tidy: bool = False, reset: bool = False) -> dict[str, Any]:
        asked = "&".join(name for name, wanted in (("tidy=1", tidy), ("reset=1", reset)) if wanted)
        return self.server.get(f"/magi_check?{asked}")

    def _peaks(self) -> dict[str, Any]:
        memory = self._memory()
        within = {"within": memory["peak"]["device"] <= self.left} if self.left else {}
        return {"peak": memory["peak"], "now": memory["now"], "budget": self.left, **within}

    def _marks(self) -> list[list[Any]]:
        return self.server.get("/magi_check/marks")

    def _spent(self, marks: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """What the forwards took on the GPU, and text, asking for room and clips in all."""
        each = [round(mark[3], 3) for mark in marks if mark[0] == "forward"]
        spent = {what: round(sum(m[2] - m[1] for m in marks if m[0] == what), 2) for what in ("text", "room", "clip")}
        return {"forwards each": each, **{f"{what} seconds": seconds for what, seconds in spent.items()}}

    def _graph(self, width: int, height: int, chunks: int) -> dict[str, Any]:
        """The official shape's model with everything that a page would have; another prompt and seed every time."""
        number = next(self.numbers)
        words = (COLOURS[number % 4], SHAPES[number % 3], WAYS[number // 4 % 3])
        sampling = {"width": width, "height": height, "chunks": chunks, "seed": number, "steps": self.work.steps}
        links: dict[str, Any] = {"model": ["model", 0], "conditioning": ["prompt", 0], "vae": ["vae", 0]}
        prompt = f"a big {words[0]} {words[1]} moves {words[2]} on a white background"
        return {
            "model": self._node("MagiLoadModel", model=self._listed("MagiLoadModel")),
            "vae": self._node("MagiLoadVAE", model=self._listed("MagiLoadVAE")),
            "encoder": self._node("MagiLoadTextEncoder", model=self._listed("MagiLoadTextEncoder")),
            "prompt": self._node("MagiTextEncode", text_encoder=["encoder", 0], prompt=prompt, high_quality=False),
            "sampler": self._node("MagiChunkSampler", **links, duration_tokens=False, **sampling),
            "file": self._node("MagiDecodeToFile", vae=["vae", 0], state=["sampler", 0]),
        }

    def _listed(self, kind: str) -> str:
        options = self.nodes[kind]["input"]["required"]["model"][1]["options"]
        return next(name for name in options if name.startswith("official"))

    def _node(self, kind: str, **inputs: Any) -> dict[str, Any]:
        return with_defaults(self.nodes, kind, **inputs)


def _check_words(said: str, ours: Sequence[str]) -> None:
    """What an artist is told of memory that runs out is ours, and clear."""
    assert any(words in said for words in ours), said
    assert "Traceback" not in said and "CUDA" not in said, said
