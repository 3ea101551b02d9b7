"""What a node goes on from that was not read yet, as far as the heads of files tell: saved takes, given pictures."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from magi_core.config import FRAMES_PER_LATENT, PIXELS_PER_LATENT
from magi_core.errors import MagiError
from magi_core.state import SamplerState
from magi_core.state.files import take_fingerprint
from magi_core.state.save import load_outline
from magi_core.vae.prefix import missing_frames
from magi_core.video.frame_source import CONTAINERS, open_media, picture_track

from ..host.input_files import input_file
from ..host.model_folder import size_of
from ..host.take_folder import take_path
from .made import Prefix
from .recipes import Graph, class_of, inputs_of, is_link


def outline(inputs: Mapping[str, Any]) -> SamplerState:
    """What Magi Load State would load, without its numbers; `MagiError` where it cannot be told."""
    take = inputs.get("take")
    if not isinstance(take, str):
        raise MagiError("the video to go on with is not loaded yet: the plan is known when it was")
    path = take_path(take)
    return _outline(path, take_fingerprint(path))


@lru_cache(maxsize=8)
def _outline(path: Path, version: str) -> SamplerState:
    return load_outline(path)


def unencoded_prefix(graph: Graph, link: Any, channels: int) -> Prefix | None:
    """The shape of what Magi VAE Encode would give, its key unknown (""); None where that cannot be told.

    channels: of the latents. An image of any node counts as one picture; a video must come from a file.
    """
    node = graph.get(str(link[0]))
    given = inputs_of(node)
    if class_of(node) != "MagiVAEEncode":
        return None
    video, frames = given.get("video"), 1
    if is_link(video):
        frames = _frames(graph.get(str(video[0])), given.get("fps", 24))
    elif not is_link(given.get("image")):
        return None
    own = _own_size(graph, given.get("vae"))
    sides = [given.get(name) or side for name, side in zip(("width", "height"), own, strict=True)]
    if not frames or not all(type(side) is int and 0 < side <= 8192 for side in sides):
        return None
    columns, rows = (side // PIXELS_PER_LATENT for side in sides)
    filled = missing_frames(frames) if is_link(video) else 0
    return Prefix((1, channels, -(-frames // FRAMES_PER_LATENT), rows, columns), "", filled)


def _frames(node: Any, fps: Any) -> int:
    """Of a video file, as it says itself; 0 where it does not."""
    path = input_file(inputs_of(node).get("file")) if class_of(node) == "LoadVideo" else None
    if path is None or type(fps) not in (int, float) or not 1 <= fps <= 240:
        return 0
    try:
        with open_media(path, "video", CONTAINERS) as container:
            track = picture_track(container)
            if track is None or track.duration is None or track.time_base is None:
                return 0
            return max(0, round(track.duration * Fraction(track.time_base) * Fraction(fps)))
    except MagiError:  # the node itself says what is wrong
        return 0


def _own_size(graph: Graph, link: Any) -> tuple[int, int]:
    """What a width and a height of 0 stand for; 0 where that is not known."""
    node = graph.get(str(link[0])) if is_link(link) else None
    model = inputs_of(node).get("model")
    if class_of(node) != "MagiLoadVAE" or not isinstance(model, str):
        return 0, 0
    try:
        return size_of(model)
    except MagiError:
        return 0, 0
