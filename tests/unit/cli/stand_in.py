"""An engine that paints grey frames, for tests of what the command line makes of its arguments."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from types import SimpleNamespace

import torch

from magi_core.config import SamplingSettings
from magi_core.sampling.cost import Cost
from magi_core.sampling.events import Stepped
from magi_core.sampling.extension import ChunkFate
from magi_core.state import ChunkRecord, PlacedChunk, SamplerState
from magi_core.state.state import Cancelled
from magi_core.text import PromptEmbedding
from magi_core.video import read_video

STEPS = 3


@dataclass
class StandIn:
    """An engine that paints chunk k grey 40 k + 20 and remembers what it was asked."""

    settings: SamplingSettings = field(default_factory=SamplingSettings)
    asked: dict = field(default_factory=dict)
    special_tokens: object = "present"
    vae: object = field(default_factory=lambda: SimpleNamespace(device=torch.device("cpu")))
    interrupt_in_chunk: int | None = None
    interrupt_decoding: int | None = None

    def load(self, model, **options):
        self.asked["load"] = {"model": model, **options}
        return self

    def with_settings(self, **changes):
        self.settings = self.settings.with_changes(**changes)
        return self

    def encode_prompt(self, prompt):
        notes = ("prompt cut to 800 tokens",) if len(prompt) > 1000 else ()
        return PromptEmbedding(prompt, torch.zeros(1, 4), notes)

    def begin(self, *, width, height, seed, fps, image, video, total_chunks):
        self.asked["begin"] = {"image": image, "video": video, "total_chunks": total_chunks, "seed": seed}
        given = 1 if image is not None else 0 if video is None else -(-len(video) // 4)
        filled = 0 if video is None else -len(video) % 4
        prefix = torch.zeros(1, 4, given, height // 8, width // 8) if given else None
        return SamplerState(width, height, fps, seed, self.settings, channels=4, prefix=prefix, filled=filled)

    def plan(self, state, prompts, *, end):
        self.asked["prompts"] = [prompt.spec.prompt for prompt in prompts]
        self.asked["story"] = [prompt.spec for prompt in prompts]
        placed = [PlacedChunk(index, p.spec, state.seed) for index, p in enumerate(prompts, start=state.next_chunk)]
        new = {at.index: SimpleNamespace(at=at) for at in placed}
        fates = [ChunkFate(index, "", "computed") for index in new]
        return SimpleNamespace(given=state, new=new, chunks=fates, cost=Cost(), drain=True, begun=state, notes=())

    def run(self, extension, *, on_step, cancelled):
        state, chunks = extension.given, len(extension.new)
        for done, new in enumerate(extension.new.values()):
            for step in range(STEPS):
                if cancelled():
                    raise Cancelled(state)
                if self.interrupt_in_chunk == done:
                    os.kill(os.getpid(), signal.SIGINT)
                on_step(Stepped((), done * STEPS + step + 1, chunks * STEPS, done, chunks))
            state = state.with_chunk(ChunkRecord(new.at, torch.zeros(state.latent_shape)))
            yield state

    def decode(self, state, *, start, stop):
        for chunk in range(start, stop):
            for frames in (10 - (state.filled if chunk == 0 else 0), 10, 4):
                if self.interrupt_decoding == chunk and frames == 4:
                    os.kill(os.getpid(), signal.SIGINT)
                    os.kill(os.getpid(), signal.SIGINT)
                yield torch.full((frames, state.height, state.width, 3), 40 * chunk + 20, dtype=torch.uint8)


def greys(path="a.mp4") -> list[int]:
    return ((read_video(path).frames.float().mean(dim=(1, 2, 3)) - 20) / 40).round().int().tolist()
