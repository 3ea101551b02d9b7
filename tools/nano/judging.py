"""What the analyser sees in a finished video against what was asked: one flat table of findings per case.

A finding is True or False, a number, a list of numbers, or a pair (sum, weight) that is pooled over videos. None: the
question does not arise in this video, so it does not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tools.nano.analyser import Track, action_of, clipped_share, grid_energy, measure, patchiness, sharpness
from tools.nano.cases import Case
from tools.nano.motion import allowed_actions
from tools.nano.render import COLOUR_TURN
from tools.nano.vocabulary import ACTIONS, CHUNK_FRAMES, DIRECTIONS, SHAPES

Findings = dict[str, Any]

ATTRIBUTES = ("colour", "shape", "size", "background")
ROOM_NEEDED = 9.0  # pixels ahead without which a wall turns a straight move round before its direction can be seen
LAYOUT_SHIFT = 10.0  # pixels between the last frame and the next shot's first that count as another composition
MOVING_STEP = 0.5  # pixels a frame: below it an object counts as resting
CLIPPED = 0.2  # share of pixels at the ends of the range from which on a frame counts as saturated


def decibels(frames: Tensor, other: Tensor) -> float:
    """PSNR of uint8 frames."""
    error = (frames.float() - other.float()).square().mean() / 255**2
    return float(-10 * torch.log10(error + 1e-10))


def words_of(track: Track) -> dict[str, str]:
    """Attribute -> word as seen; everything is "lost" where no object is seen."""
    seen = {"colour": track.colour, "shape": track.shape, "size": track.size, "motion": action_of(track)}
    seen = seen if track.seen else dict.fromkeys(seen, "lost")
    return seen | {"background": track.background_name, "camera": track.around.camera, "weather": track.around.weather}


def look(frames: Tensor) -> tuple[list[Track], list[dict[str, str]]]:
    """Tracks and words of every chunk of `frames` [24 n, 128, 128, 3]."""
    tracks = [measure(chunk) for chunk in frames.split(CHUNK_FRAMES)]
    return tracks, [words_of(track) for track in tracks]


def judge(case: Case, frames: Tensor) -> Findings:
    """Findings about the generated (or drawn) chunks of `case`; `frames` begin with what was given, if any."""
    given, frames = frames[: case.given], frames[case.given if case.given > 1 else 0 :]
    tracks, seen = look(frames)
    found = {
        "single": lambda: shown(seen[0], case.truth[0]),
        "pair": lambda: paired(frames, case.truth),
        "swap": lambda: swapped(tracks, seen, case.truth),
        "memory": lambda: remembered(tracks, seen, case.truth) | changed(frames, case.truth),
        "image": lambda: shown(seen[0], case.truth[0]),
        "continuation": lambda: carried_on(measure(given), tracks[0], seen[0], case.truth[0]),
        "pace": lambda: carried_on(measure(given), tracks[0], seen[0], case.truth[0]),
        "camera": lambda: filmed(tracks, seen, case.truth),
        "weather": lambda: weathered(seen, case.truth),
        "wall": lambda: walled(seen, case.truth),
        "story": lambda: told(tracks, seen, case.truth),
        "shots": lambda: reshot(tracks, seen),
    }[case.row]()
    return found | {"seen": seen}


def shown(seen: dict[str, str], truth: dict[str, str]) -> Findings:
    """Every named attribute, and the action by its name."""
    found: Findings = {name: seen[name] == word for name, word in truth.items()}
    return found | {f"motion {truth['motion']}": found["motion"]}


def paired(frames: Tensor, truth: Sequence[dict[str, str]]) -> Findings:
    """Of each of two objects, told apart by their colours: whether it is there, with the shape and the action named."""
    found: Findings = {}
    for which, want in zip(("first", "second"), truth, strict=True):
        track = measure(frames, colour=want["colour"])
        found[f"{which} colour"] = track.seen
        found[f"{which} shape"] = track.seen and track.shape == want["shape"]
        found[f"{which} motion"] = track.seen and action_of(track) == want["motion"]
    found["attributes of both"] = all(ok for name, ok in found.items() if "motion" not in name)
    found["motions of both"] = found["first motion"] and found["second motion"]
    return found | {"both": found["attributes of both"] and found["motions of both"]}


def has_room(before: Track, shape: str, action: str) -> bool:
    """Whether `action` can be performed from where the object was last seen, by the world's own rule."""
    x, y = before.centre[-1].tolist()
    place = np.array([[x, y, float(before.radius[-1])]])
    if not np.isfinite(place).all():
        return True  # a lost object is no excuse
    fits = allowed_actions(np.array([SHAPES.index(shape)]), place, np.array([True]), ROOM_NEEDED)
    return bool(fits[0, ACTIONS.index(action)])


def swapped(tracks: Sequence[Track], seen: Sequence[dict[str, str]], truth: Sequence[dict[str, str]]) -> Findings:
    """The new action in the last chunk, the old one in those before; left out where a wall leaves no room for it."""
    room = [True, *(has_room(t, want["shape"], want["motion"]) for t, want in zip(tracks, truth[1:], strict=False))]
    right = [s["motion"] == want["motion"] for s, want in zip(seen, truth, strict=True)]
    *before, after = [ok if free else None for ok, free in zip(right, room, strict=True)]
    return {
        "new action": after,
        "old action just before": before[-1],
        "old action in all chunks before": None if None in before else all(before),
        "no room": not all(room),
        "attributes": all(seen[-1][name] == truth[-1].get(name, seen[-1][name]) for name in ATTRIBUTES),
    }


def remembered(tracks: Sequence[Track], seen: Sequence[dict[str, str]], truth: Sequence[dict[str, str]]) -> Findings:
    """Attributes that later prompts do not name: as named at first, and as first shown. Borders between chunks too."""
    found: Findings = {}
    as_shown = [seen[0] | {"colour": want["colour"]} for want in truth]  # colours are named where they change
    for name in ATTRIBUTES:
        found[f"{name} as named"] = seen[-1][name] == truth[-1][name]
        found[f"{name} kept"] = seen[-1][name] == as_shown[-1][name]
        found[f"{name} in every chunk"] = all(s[name] == t[name] for s, t in zip(seen, truth, strict=True))
    for kind in ("as named", "kept", "in every chunk"):
        found[f"all {kind}"] = all(found[f"{name} {kind}"] for name in ATTRIBUTES)
    turn = next((k for k in range(1, len(truth)) if truth[k]["colour"] != truth[k - 1]["colour"]), None)
    found["colour changes when told"] = None if turn is None else seen[turn]["colour"] == truth[turn]["colour"]
    rooms = [has_room(t, want["shape"], want["motion"]) for t, want in zip(tracks, truth[1:], strict=False)]
    right = [s["motion"] == want["motion"] for s, want in zip(seen[1:], truth[1:], strict=True)]
    found["actions"] = [float(ok) for ok, free in zip(right, rooms, strict=True) if free]
    stops = [k for k in range(1, len(truth)) if truth[k]["motion"] == "still" != truth[k - 1]["motion"]]
    found["stops"] = seen[stops[0]]["motion"] == "still" if stops else None
    borders = seam_jumps(tracks)
    found["seams"] = list(borders.values())
    goes_on = [k for k in borders if truth[k]["motion"] == truth[k - 1]["motion"]]
    found["seams going on"] = [borders[k] for k in goes_on]
    found["latent motion"] = latent_motion(tracks, seen)
    return found


def turn_of(truth: Sequence[dict[str, str]]) -> slice | None:
    """The frames in which a colour turns for the first time."""
    turn = next((k for k in range(1, len(truth)) if truth[k]["colour"] != truth[k - 1]["colour"]), None)
    start = None if turn is None else turn * CHUNK_FRAMES + COLOUR_TURN[0]
    return None if start is None else slice(start, start + COLOUR_TURN[1])


def changed(frames: Tensor, truth: Sequence[dict[str, str]]) -> Findings:
    """While a colour turns: energy on the autoencoder's grid, and patches of colour inside the object. Blocks raise
    both above those of the drawn clip; the first also counts outlines, which hide them."""
    turning = turn_of(truth)
    if turning is None:
        return {"blocks": None, "patches": None}
    return {"blocks": grid_energy(frames[turning]), "patches": patchiness(frames[turning])}


def seam_jumps(tracks: Sequence[Track]) -> dict[int, float]:
    """Step across the border before each chunk over the median step inside the two chunks, where both of them move."""
    jumps = {}
    for k, (before, after) in enumerate(zip(tracks, tracks[1:], strict=False), start=1):
        inside = [track.centre.diff(dim=0).norm(dim=1) for track in (before, after)]
        if min(float(steps.nanmedian()) for steps in inside) > MOVING_STEP:
            across = (after.centre[0] - before.centre[-1]).norm()
            jumps[k] = float(across / torch.cat(inside).nanmedian())
    return {k: jump for k, jump in jumps.items() if math.isfinite(jump)}


def latent_motion(tracks: Sequence[Track], seen: Sequence[dict[str, str]]) -> tuple[float, float]:
    """Displacement over the four frames of a latent frame against three quarters of the way to the next one.

    Straight moves only. Returns (sum, weight): 1 is right, 0 is "four equal frames".
    """
    total, weight = 0.0, 0.0
    for track, words in zip(tracks, seen, strict=True):
        if words["motion"] in DIRECTIONS:
            first, last = track.centre[:-4:4].double(), track.centre[3:-4:4].double()
            whole = track.centre[4::4].double() - first
            keep = torch.isfinite(whole).all(1) & torch.isfinite(last).all(1) & (whole.norm(dim=1) > 4 * MOVING_STEP)
            total += float(((last - first) * whole)[keep].sum())
            weight += float(0.75 * whole[keep].square().sum())
    return total, weight


def carried_on(before: Track, after: Track, seen: dict[str, str], truth: dict[str, str]) -> Findings:
    """Whether the drawn motion goes on in the same direction with its speed within 20%."""
    first = (before.centre[-1] - before.centre[8]) / 15
    then = (after.centre[15] - after.centre[0]) / 15
    ratio = float((then * first).sum() / first.square().sum())
    same, near = seen["motion"] == truth["motion"], 0.8 <= ratio <= 1.2
    kept = {f"{name} kept": seen[name] == truth[name] for name in ATTRIBUTES}
    numbers = {"speed ratio": ratio if math.isfinite(ratio) else 0.0}
    return {"same direction": same, "same speed": near, "carried on": same and near} | numbers | kept


def filmed(tracks: Sequence[Track], seen: Sequence[dict[str, str]], truth: Sequence[dict[str, str]]) -> Findings:
    """Moves of the camera, read off the background; and whether the object is and does what it was and did."""
    found: Findings = {"camera rests unasked": seen[0]["camera"] == "rest"}
    found["camera"] = [float(s["camera"] == want["camera"]) for s, want in zip(seen[1:], truth[1:], strict=True)]
    for want, words in zip(truth[1:], seen[1:], strict=True):
        found[f"camera {want['camera']}"] = words["camera"] == want["camera"]
    for name in ATTRIBUTES:
        found[f"{name} kept"] = seen[-1][name] == truth[-1].get(name, seen[-1][name])
    found["all kept"] = all(found[f"{name} kept"] for name in ATTRIBUTES)
    rooms = [has_room(t, want["shape"], want["motion"]) for t, want in zip(tracks, truth[1:], strict=False)]
    right = [s["motion"] == want["motion"] for s, want in zip(seen[1:], truth[1:], strict=True)]
    found["motion kept"] = [float(ok) for ok, free in zip(right, rooms, strict=True) if free]
    return found


def weathered(seen: Sequence[dict[str, str]], truth: Sequence[dict[str, str]]) -> Findings:
    """At the end of each chunk: the weather that was named, and none where none was."""
    right = [(want["weather"], float(s["weather"] == want["weather"])) for s, want in zip(seen, truth, strict=True)]
    falls, clear = ([ok for word, ok in right if (word == "clear") is dry] for dry in (False, True))
    kept = all(seen[-1][name] == truth[-1].get(name, seen[-1][name]) for name in ATTRIBUTES)
    return {"present": falls, "absent": clear, "attributes": kept}


def walled(seen: Sequence[dict[str, str]], truth: Sequence[dict[str, str]]) -> Findings:
    """Chunk 2 is a cut to other things: whether that chunk and the two after it show nothing of the old shot."""
    old, found = truth[0], {}
    for name in ("colour", "shape", "background"):
        found[f"no old {name}"] = all(words[name] != old[name] for words in seen[2:])
        found[f"{name} as named"] = seen[-1][name] == truth[-1][name]
    return found | {"nothing of the old": all(found[f"no old {name}"] for name in ("colour", "shape", "background"))}


def told(tracks: Sequence[Track], seen: Sequence[dict[str, str]], truth: Sequence[dict[str, str]]) -> Findings:
    """A story: at its end everything is as it was last named; the shape also ten seconds in; all actions and moves."""
    found: Findings = {}
    for name in ATTRIBUTES:
        found[f"{name} at the end"] = seen[-1][name] == truth[-1][name] if name in truth[-1] else None
    found["all at the end"] = all(found[f"{name} at the end"] is not False for name in ATTRIBUTES)
    found["weather at the end"] = seen[-1]["weather"] == truth[-1]["weather"]
    found["first shape"] = seen[0]["shape"] == truth[0]["shape"]
    found["tenth shape"] = seen[9]["shape"] == truth[9]["shape"]
    found["shape worn off"] = float(found["first shape"]) - float(found["tenth shape"])
    named = SHAPES.index(truth[0]["shape"])
    found["outline worn off"] = float(tracks[0].shape_scores[named] - tracks[9].shape_scores[named])
    found["camera"] = [float(s["camera"] == want["camera"]) for s, want in zip(seen, truth, strict=True)]
    rooms = [has_room(t, want["shape"], want["motion"]) for t, want in zip(tracks, truth[1:], strict=False)]
    right = [s["motion"] == want["motion"] for s, want in zip(seen[1:], truth[1:], strict=True)]
    found["actions"] = [float(ok) for ok, free in zip(right, rooms, strict=True) if free]
    return found


def reshot(tracks: Sequence[Track], seen: Sequence[dict[str, str]]) -> Findings:
    """Chunk 1 is a new shot, chunk 2 a hard cut, both against chunk 0."""
    shift = float((tracks[1].centre[0] - tracks[0].centre[-1]).norm())
    changes = shift > LAYOUT_SHIFT  # False where either is lost
    kept = {name: seen[1][name] == seen[0][name] for name in ATTRIBUTES}
    identity = all(kept[name] for name in ("colour", "shape", "size"))
    found: Findings = {f"new shot {name}": same for name, same in kept.items()}
    found |= {"composition": changes, "identity": identity, "new shot": changes and identity}
    return found | {f"cut {name}": (seen[0][name], seen[2][name]) for name in ATTRIBUTES}


def lasted(early: Tensor, late: Tensor) -> Findings:
    """One chunk of frames late in a long video against an early one; both were told to move."""
    tracks = measure(early), measure(late)
    first, then = (words_of(track) for track in tracks)
    found: Findings = {f"{name} kept": then[name] == first[name] for name in ATTRIBUTES}
    found["moves"] = then["motion"] not in ("still", "lost")
    found["not empty"] = tracks[1].seen
    found["not saturated"] = clipped_share(late) < CLIPPED
    found["sharpness"] = sharpness(late) / sharpness(early)
    return found | {"seen": [first, then]}
