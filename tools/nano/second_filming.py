"""Second passes made and judged: what is seen of a take and of what it became."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magi_core import Engine
from magi_core.sampling.events import Stepped
from magi_core.sampling.extension import Extension
from magi_core.state import SamplerState
from magi_core.story.chunk import ChunkSpec
from tools.nano.analyser import Track, sharpness
from tools.nano.judging import ATTRIBUTES, Findings, look, seam_jumps
from tools.nano.scripts import drawn_frames
from tools.nano.second_cases import FIRST, JOIN, LAST, SecondCase
from tools.nano.vocabulary import CHUNK_FRAMES, CHUNKS, SIZE

STRENGTH = 0.5
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
EVERY = 5  # of the cases, one in so many is made at all strengths, or with what a finished draft is compared with
PATH_KEPT = 3.0  # pixels that the centre may be off, on average over a video
CANNOT_JOIN = 8.0  # pixels that the centre jumps at a border


@dataclass(frozen=True, eq=False)
class Seen:
    """Frames of a video with what the analyser sees in them."""

    frames: Tensor
    tracks: Sequence[Track]
    words: Sequence[dict[str, str]]

    @classmethod
    def of(cls, engine: Engine, state: SamplerState) -> Seen:
        frames = torch.cat(list(engine.decode(state)))
        return cls(frames, *look(frames))

    @property
    def path(self) -> Tensor:
        """[T, 2]"""
        return torch.cat([track.centre for track in self.tracks])

    def off(self, other: Seen) -> float:
        """Mean distance of the centres in pixels; infinite where one of them is lost for a while."""
        distance = (self.path - other.path).norm(dim=1)
        return float(distance.nanmean()) if float(distance.isnan().float().mean()) < 0.2 else float("inf")

    def jump(self, chunks: Sequence[int]) -> float:
        """The widest step of the centre across the borders before these chunks, in pixels."""
        path = self.path
        steps = [(path[k * CHUNK_FRAMES] - path[k * CHUNK_FRAMES - 1]).norm() for k in chunks]
        return max(map(float, steps))

    def mostly(self, name: str) -> str:
        return Counter(words[name] for words in self.words).most_common(1)[0][0]


def second_pass(engine: Engine, case: SecondCase, drafter: Callable[[], Engine]) -> Findings:
    """Findings of one case of a second pass. drafter: loads the engine that drafts are made with."""
    if case.row == "restyle":
        return restyled(engine, case)
    return retouched(engine, case) if case.row == "retouch" else finished(engine, drafter(), case)


def restyled(engine: Engine, case: SecondCase) -> Findings:
    """The new colour and the old path at strength .5; for some, how far the path is off at all strengths."""
    take = _take(engine, case)
    was, errors = Seen.of(engine, take), []
    found: Findings = {}
    for strength in STRENGTHS if case.number % EVERY == 0 else (STRENGTH,):
        made = engine.extend(_begun(engine, case.seed + 500), case.chunks, source=take, strength=strength)
        if strength == 0:
            errors.append(0.0 if torch.equal(made.latents, take.latents) else Seen.of(engine, made).off(was))
            continue
        now = Seen.of(engine, made)
        errors.append(now.off(was))
        if strength == STRENGTH:
            colours = [words["colour"] == want["colour"] for words, want in zip(now.words, case.truth, strict=True)]
            found = {"new colour": all(colours), "new colour in each": list(map(float, colours))}
            found |= {"path": errors[-1] <= PATH_KEPT, "off": errors[-1], "seen": now.words}
            found["both"] = found["new colour"] and found["path"]
    kind = "take" if case.source else "film"
    found |= {f"{name} of a {kind}": found[name] for name in ("new colour", "path")}
    return found | {"errors": errors if len(errors) == len(STRENGTHS) else None} | _by_strength(errors)


def _by_strength(errors: Sequence[float]) -> Findings:
    if len(errors) != len(STRENGTHS):
        return {}
    return {f"error at {strength:g}": error for strength, error in zip(STRENGTHS, errors, strict=True)}


def retouched(engine: Engine, case: SecondCase) -> Findings:
    """The look of some chunks in the middle changed, then their motion: what stays, seams, what was told when."""
    take = _take(engine, case)
    was = Seen.of(engine, take)
    look_of, motion_of = (
        _retouch(engine, take, chunks, strength) for chunks, strength in ((case.chunks, STRENGTH), (case.moved, 1.0))
    )
    borders = range(FIRST, LAST + 2)
    seams, own = (seam_jumps(tracks) for tracks in (look_of.seen.tracks, was.tracks))
    shown = [words["colour"] for words in look_of.seen.words[FIRST : LAST + 1 - JOIN]]
    found: Findings = {
        "outside kept": look_of.kept and motion_of.kept,
        "new colour": all(colour == case.truth[0]["colour"] for colour in shown),
        "path": look_of.seen.off(was) <= PATH_KEPT,
        "seams": [seams[k] for k in borders if k in seams],
        "seams of the take": [own[k] for k in borders if k in own],
        "seen": look_of.seen.words,
    }
    retouches = [(one.seen.jump(borders), one.told) for one in (look_of, motion_of)]
    found["jumps"] = [jump for jump, _ in retouches]
    found["told"] = [float(told is not None) for jump, told in retouches if not jump <= CANNOT_JOIN]
    found["false alarms"] = [float(told is not None) for jump, told in retouches if jump <= CANNOT_JOIN]
    found["spent when told"] = [told for jump, told in retouches if told is not None and not jump <= CANNOT_JOIN]
    return found


@dataclass(frozen=True, eq=False)
class _Retouch:
    """kept: all chunks outside are the take's. told: share of the chunk-forwards made when it was said that the motion
    cannot join; None where it was not."""

    seen: Seen
    kept: bool
    told: float | None


def _retouch(engine: Engine, take: SamplerState, chunks: Sequence[ChunkSpec], strength: float) -> _Retouch:
    extension, told = engine.retouch(take, chunks, FIRST, strength=strength, join=JOIN), []

    def on_step(event: Stepped) -> None:
        if event.notes:
            told.append(spent(extension, event.step))

    *_, made = engine.run(extension, on_step=on_step)
    outside = [k for k in range(take.finished) if not FIRST <= k <= LAST]
    kept = all(torch.equal(made.chunk_latent(k), take.chunk_latent(k)) for k in outside)
    return _Retouch(Seen.of(engine, made), kept, told[0] if told else None)


def spent(extension: Extension, step: int) -> float:
    """Share of the chunk-forwards of `extension` that are made by forward `step` of the loop; those of one stage count
    alike."""
    done, total = 0.0, extension.cost.total
    for stage in extension.stages:
        part = min(step, stage.forwards)
        done += stage.cost.total * (part / stage.forwards if stage.forwards else 1.0)
        step -= part
        if step <= 0:
            break
    return done / total


def finished(engine: Engine, drafter: Engine, case: SecondCase) -> Findings:
    """A draft finished by `engine` with its own prompts: what it keeps; and its sharpness, against the draft's and, for
    some, against what `engine` makes by itself."""
    draft = drafter.extend(_begun(drafter, case.seed), case.source)
    was = Seen.of(engine, draft)
    made = Seen.of(engine, engine.extend(_begun(engine, case.seed), case.chunks, source=draft, strength=STRENGTH))
    found: Findings = {f"{name} kept": made.mostly(name) == was.mostly(name) for name in ATTRIBUTES}
    found["attributes"] = all(found.values())
    found |= {"off": made.off(was), "path": made.off(was) <= PATH_KEPT, "seen": made.words}
    found["attributes and path"] = found["attributes"] and found["path"]
    found["sharper than the draft"] = sharpness(made.frames) / sharpness(was.frames)
    if case.number % EVERY == 0:
        own = Seen.of(engine, engine.extend(_begun(engine, case.seed), case.chunks))
        found["sharpness"] = sharpness(made.frames) / sharpness(own.frames)
    return found


def through_the_vae(engine: Engine, case: SecondCase) -> Findings:
    """Borders in the drawn clip of a retouch."""
    frames = torch.cat(list(engine.vae.decode(_encoded(engine, case, CHUNKS))))
    return {"seams": list(seam_jumps(look(frames)[0]).values())}


def _take(engine: Engine, case: SecondCase) -> SamplerState:
    """What the second pass starts from."""
    if case.source:
        return engine.extend(_begun(engine, case.seed), case.source)
    return engine.begin(width=SIZE, height=SIZE, seed=case.seed, prefix=_encoded(engine, case, len(case.chunks)))


def _encoded(engine: Engine, case: SecondCase, chunks: int) -> Tensor:
    return engine.vae.encode(drawn_frames(case.clip, chunks * CHUNK_FRAMES, engine.vae.device))


def _begun(engine: Engine, seed: int) -> SamplerState:
    return engine.begin(width=SIZE, height=SIZE, seed=seed)
