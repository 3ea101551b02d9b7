"""What the desk shows after a reload: the newest of every node, by workflow. See `GET /magi/desk` in docs/desk.md."""

from __future__ import annotations

import base64
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from .clips import has_clip
from .events import Clip, Ended, Event, NodeRun, Plan, Progress, Still
from .kept_clips import KeptClips
from .store import KEY, Store

CLIP_NAME = re.compile(r"magi_[0-9a-f]{32}\.mp4")
MOST_WORKFLOWS, MOST_NODES, MOST_KEYS, MOST_FLYING, MOST_CLIPS = 50, 200, 4000, 64, 20_000
MOST_SAID = 1000  # characters of one prompt
STATUSES = ("running", "done", "interrupted", "failed")


@dataclass
class Remembered:
    """Of one node. plan, progress: as they were sent last. words: what is asked of a chunk, by key. stills: timesteps
    of the newest, by key. clips: file names, by key."""

    plan: dict[str, Any] | None = None
    progress: dict[str, Any] | None = None
    status: str = ""
    sentence: str = ""
    words: dict[str, Any] = field(default_factory=dict)
    stills: dict[str, float] = field(default_factory=dict)
    clips: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, kept: Any) -> Remembered:
        """What can be used of what was kept in a file; a run that was going on then is over."""
        kept = kept if isinstance(kept, dict) else {}
        status = kept.get("status")
        plan, sentence = kept.get("plan"), kept.get("sentence")
        return cls(
            plan=plan if _is_plan(plan) else None,
            status="interrupted" if status == "running" else status if status in STATUSES else "",
            sentence=sentence if isinstance(sentence, str) else "",
            words={key: said for key, said in _by_key(kept, "words") if isinstance(said, dict)},
            stills={key: 1.0 for key, t in _by_key(kept, "stills") if t == 1},
            clips={key: name for key, name in _by_key(kept, "clips") if isinstance(name, str)},
        )

    def newest(self) -> None:
        """Forget the oldest beyond what is kept."""
        for kept in (self.words, self.stills, self.clips):
            for key in list(kept)[: max(0, len(kept) - MOST_KEYS)]:
                del kept[key]


class DeskMemory:
    """Hears every event of every run in this process, and answers for as many workflows as it has room for.

    Runs, and the threads that answer requests, share it.
    """

    def __init__(self, store: Store, kept_clips: KeptClips) -> None:
        self.store, self.kept_clips = store, kept_clips
        self._lock = RLock()
        self._workflows: OrderedDict[str, dict[str, Remembered]] = OrderedDict()
        self._flying: OrderedDict[str, bytes] = OrderedDict()
        self._clips: OrderedDict[str, str] = OrderedDict()  # names of all that were told, by key

    def heard(self, run: NodeRun, event: Event) -> None:
        if isinstance(event, Still):
            self._keep_still(event)
        if isinstance(event, Clip):
            self._keep_clip(event, run.saved)
        if not run.workflow or run.node_id is None:
            return
        with self._lock:
            nodes = self._nodes(run.workflow)
            node = nodes.setdefault(run.node_id, Remembered())
            _note(node, run, event)
            for other in list(nodes)[: max(0, len(nodes) - MOST_NODES)]:
                del nodes[other]
            if isinstance(event, Plan | Ended):
                node.newest()
                self.store.keep_workflow(run.workflow, {name: vars(each) for name, each in nodes.items()})

    def desk(self, workflow: str) -> dict[str, Any]:
        """The nodes of a workflow. Who asks for many makes none of those that run forgotten."""
        with self._lock:
            nodes = self._workflows.get(workflow) or (self._kept(workflow) if workflow else {})
            return {"nodes": {name: self._shown(node) for name, node in nodes.items()}}

    def saved(self, keys: Iterable[str]) -> None:
        """A take that holds these chunks was saved: their clips come back after a restart."""
        with self._lock:
            self.kept_clips.keep((key, self._clips[key]) for key in keys if key in self._clips)

    def clips(self, keys: Sequence[str]) -> dict[str, str]:
        """Clips that can be played, by key."""
        with self._lock:
            made = {key: self._clips[key] for key in keys if key in self._clips and has_clip(self._clips[key])}
            return made | self.kept_clips.put_back(key for key in keys if key not in made)

    def stills(self, keys: Iterable[str]) -> dict[str, float]:
        """Finished stills that are there, by key."""
        with self._lock:
            return {key: 1.0 for key in keys if self.store.has_still(key)}

    def still(self, key: str) -> bytes | None:
        """The newest picture of a chunk."""
        with self._lock:
            return self._flying.get(key) or self.store.still(key)

    def has_still(self, key: str) -> bool:
        with self._lock:
            return self.store.has_still(key)

    def _nodes(self, workflow: str) -> dict[str, Remembered]:
        if workflow not in self._workflows:
            self._workflows[workflow] = self._kept(workflow)
        self._workflows.move_to_end(workflow)
        while len(self._workflows) > MOST_WORKFLOWS:
            self._workflows.popitem(last=False)
        return self._workflows[workflow]

    def _kept(self, workflow: str) -> dict[str, Remembered]:
        kept = self.store.workflow(workflow)
        items = list(kept.items())[:MOST_NODES] if isinstance(kept, dict) else []
        return {name: Remembered.from_json(node) for name, node in items}

    def _shown(self, node: Remembered) -> dict[str, Any]:
        stills = {key: t for key, t in node.stills.items() if key in self._flying or self.store.has_still(key)}
        clips = {key: name for key, name in node.clips.items() if CLIP_NAME.fullmatch(name) and has_clip(name)}
        keys = [key for key in (*node.clips, *_planned(node.plan)) if key not in clips]
        clips |= self.clips(keys)
        return vars(node) | {"words": dict(node.words), "stills": stills, "clips": clips}

    def _keep_clip(self, clip: Clip, saved: bool) -> None:
        with self._lock:
            self._clips.pop(clip.key, None)
            self._clips[clip.key] = clip.filename
            while len(self._clips) > MOST_CLIPS:
                self._clips.popitem(last=False)
        if saved:
            self.saved([clip.key])

    def _keep_still(self, still: Still) -> None:
        jpeg = base64.b64decode(still.jpeg)
        with self._lock:
            self._flying.pop(still.key, None)
            if still.t >= 1:
                self.store.keep_still(still.key, jpeg)
                return
            self._flying[still.key] = jpeg
            while len(self._flying) > MOST_FLYING:
                self._flying.popitem(last=False)


def _note(node: Remembered, run: NodeRun, event: Event) -> None:
    if isinstance(event, Plan):
        node.plan, node.progress, node.status, node.sentence = run.payload(event), None, "running", ""
        node.words |= {key: _short(said) for key, said in run.words.items()}
    elif isinstance(event, Progress):
        node.progress = run.payload(event)
    elif isinstance(event, Still):
        node.stills[event.key] = event.t
    elif isinstance(event, Clip):
        node.clips[event.key] = event.filename
    else:
        node.progress, node.status, node.sentence = None, event.status, event.sentence
        node.stills = {key: t for key, t in node.stills.items() if t >= 1}


def _planned(plan: dict[str, Any] | None) -> list[str]:
    """Keys of the chunks of a plan."""
    return [] if plan is None else [chunk["key"] for chunk in plan["chunks"]]


def _short(said: dict[str, Any]) -> dict[str, Any]:
    """What is asked of a chunk, as much as a cell shows: chunks share prompts, what is sent and kept does not."""
    prompt = said["prompt"]
    return said if len(prompt) <= MOST_SAID else said | {"prompt": f"{prompt[: MOST_SAID - 1]}…"}


def _is_plan(kept: Any) -> bool:
    """Whether a page can show what was kept as a plan."""
    chunks = kept.get("chunks") if isinstance(kept, dict) else None
    return isinstance(chunks, list) and all(
        isinstance(chunk, dict) and isinstance(chunk.get("key"), str) and type(chunk.get("index")) is int
        for chunk in chunks
    )


def _by_key(kept: dict[str, Any], name: str) -> list[tuple[str, Any]]:
    found = kept.get(name)
    items = list(found.items())[-MOST_KEYS:] if isinstance(found, dict) else []
    return [(key, value) for key, value in items if KEY.fullmatch(key)]
