"""What a node that samples tells the page that queued it: names and payloads as in docs/desk.md."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from magi_core.sampling.extension import ChunkFate

from ..host.page import running_prompt, send

STILL_BYTES = 32 << 10


@dataclass(frozen=True)
class Heard:
    """key: of a sound. start: seconds on the ruler at which it begins; chunk 0 is at 0."""

    key: str
    start: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a node is about to do, before it samples.

    first: index of chunks[0]. cost: in chunk-forwards. seconds: None where nothing like it was timed on this machine.
    sound: played with the video.
    """

    NAME: ClassVar[str] = "magi.plan"

    first: int
    chunks: tuple[ChunkFate, ...]
    cost: int
    seconds: float | None
    fps: float
    width: int
    height: int
    notes: tuple[str, ...] = ()
    sound: Heard | None = None


@dataclass(frozen=True)
class Flying:
    """A chunk in flight. stage: of `stages` stages behind it. t: timestep it has reached, 0 noise, 1 clean."""

    index: int
    key: str
    stage: int
    stages: int
    t: float


@dataclass(frozen=True)
class Progress:
    """done, chunks: finished, and to be finished by this run. step, steps: forwards. seconds_left: None: not known."""

    NAME: ClassVar[str] = "magi.progress"

    flight: tuple[Flying, ...]
    done: int
    chunks: int
    step: int
    steps: int
    seconds_left: float | None


@dataclass(frozen=True)
class Still:
    """A small picture of a chunk. t: as in `Flying`; 1: finished. jpeg: base64, at most `STILL_BYTES` before."""

    NAME: ClassVar[str] = "magi.still"

    index: int
    key: str
    t: float
    jpeg: str

    @classmethod
    def of(cls, index: int, key: str, t: float, jpeg: bytes) -> Still:
        if len(jpeg) > STILL_BYTES:
            raise ValueError(f"a still of {len(jpeg)} bytes")
        return cls(index, key, t, base64.b64encode(jpeg).decode())


@dataclass(frozen=True)
class Clip:
    """A chunk can be played. filename: in ComfyUI's folder of temporary files."""

    NAME: ClassVar[str] = "magi.clip"

    index: int
    key: str
    filename: str


@dataclass(frozen=True)
class Ended:
    """The node is through. sentence: what went wrong, or ""."""

    NAME: ClassVar[str] = "magi.ended"

    status: Literal["done", "interrupted", "failed"]
    sentence: str = ""


Event = Plan | Progress | Still | Clip | Ended


class NodeRun:
    """One run of one node, whose page is told. A node can run more than once in a prompt.

    node_id: inside subgraphs a path, "1:2:3"; None: of no page. workflow: id of the one that is run, or "".
    heard: gets every event too. words: what is asked of its chunks, by key. saved: a take is kept up to date with it.
    """

    def __init__(
        self,
        node_id: str | None,
        workflow: str = "",
        heard: Callable[[NodeRun, Event], None] = lambda run, event: None,
    ) -> None:
        self.node_id, self.prompt_id, self.id = node_id, running_prompt(), uuid.uuid4().hex[:12]
        self.workflow, self.words, self.saved = workflow, dict[str, Any](), False
        self._heard = heard

    def tell(self, event: Event) -> None:
        if self.node_id is not None:
            send(event.NAME, self.payload(event))
            self._heard(self, event)

    def payload(self, event: Event) -> dict[str, Any]:
        """As it is sent."""
        return {"prompt_id": self.prompt_id, "node_id": self.node_id, "run": self.id} | asdict(event)
