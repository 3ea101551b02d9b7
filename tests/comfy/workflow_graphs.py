"""The shipped workflows as plain data: which nodes, their widgets, what is connected to what.

`author_workflows` has the real frontend build and serialise them; nobody writes the JSON by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

EXAMPLE_IMAGE = "magi_example_image.png"
EXAMPLE_VIDEO = "magi_example_video.mp4"
SEED = 7


@dataclass(frozen=True)
class Node:
    """One node: type, place and size on the canvas, widget values, and inputs as `input: (node, output)`."""

    type: str
    pos: tuple[int, int]
    size: tuple[int, int] | None = None
    title: str | None = None
    widgets: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, tuple[str, str]] = field(default_factory=dict)


LOADERS = {
    "model": Node("MagiLoadModel", (0, 0), (300, 80), widgets={"model": "nano"}),
    "text_encoder": Node("MagiLoadTextEncoder", (0, 140), (300, 80), widgets={"model": "nano"}),
    "vae": Node("MagiLoadVAE", (0, 280), (300, 80), widgets={"model": "nano"}),
}


def _note(text: str, pos: tuple[int, int], size: tuple[int, int] = (300, 180)) -> Node:
    return Node("MarkdownNote", pos, size, title="Read me", widgets={"": text})


def _prompt(text: str, x: int, title: str) -> Node:
    return Node(
        "MagiTextEncode",
        (x, 0),
        (340, 170),
        title=title,
        widgets={"prompt": text},
        inputs={"text_encoder": ("text_encoder", "text_encoder")},
    )


def _sampler(x: int, chunks: int, prompt: str, prefix: str | None = None) -> Node:
    return Node(
        "MagiChunkSampler",
        (x, 240),
        (340, 310),
        widgets={
            "width": 128,
            "height": 128,
            "chunks": chunks,
            "seed": SEED,
            "control_after_generate": "fixed",
        },
        inputs={"model": ("model", "model"), "conditioning": (prompt, "conditioning")}
        | ({"prefix": (prefix, "prefix")} if prefix else {}),
    )


def _extend(x: int, chunks: int, prompt: str, state: str) -> Node:
    return Node(
        "MagiExtend",
        (x, 240),
        (340, 120),
        widgets={"chunks": chunks},
        inputs={"model": ("model", "model"), "state": (state, "state"), "conditioning": (prompt, "conditioning")},
    )


def _output(x: int, state: str, name: str) -> dict[str, Node]:
    return {
        "decode": Node("MagiVAEDecode", (x, 0), (260, 90), inputs={"vae": ("vae", "vae"), "state": (state, "state")}),
        "save": Node(
            "SaveVideo",
            (x, 150),
            (340, 400),
            widgets={"filename_prefix": f"video/magi_{name}"},
            inputs={"video": ("decode", "video")},
        ),
    }


def text_to_video() -> dict[str, Node]:
    return (
        LOADERS
        | {
            "note": _note(
                "Three prompts, two seconds each. Change the last prompt and run again: only the last two seconds are "
                "made again.\n\nConnect a second **Magi Extend** to the same state to try another take of what comes "
                "next.",
                (0, 430),
            ),
            "first": _prompt("a big red circle moves right on a gray background", 360, "Seconds 1 and 2"),
            "second": _prompt("it turns blue", 760, "Seconds 3 and 4"),
            "third": _prompt("it moves left", 1160, "Seconds 5 and 6"),
            "sampler": _sampler(360, 2, "first"),
            "extend_1": _extend(760, 2, "second", "sampler"),
            "extend_2": _extend(1160, 2, "third", "extend_1"),
        }
        | _output(1560, "extend_2", "text_to_video")
    )


def image_to_video() -> dict[str, Node]:
    return (
        LOADERS
        | {
            "note": _note(
                "The image becomes the first frame. Choose your own in **Load Image**, set the size in **Magi VAE "
                "Encode**, and say in the prompts what happens.",
                (760, 420),
                (340, 130),
            ),
            "image": Node("LoadImage", (0, 430), (300, 310), widgets={"image": EXAMPLE_IMAGE}),
            "prefix": Node(
                "MagiVAEEncode",
                (360, 620),
                (340, 180),
                widgets={"width": 128, "height": 128, "fit": "crop"},
                inputs={"vae": ("vae", "vae"), "image": ("image", "IMAGE")},
            ),
            "first": _prompt("a big red circle moves right on a gray background", 360, "First second"),
            "second": _prompt("it moves up", 760, "Second second"),
            "sampler": _sampler(360, 1, "first", "prefix"),
            "extend_1": _extend(760, 1, "second", "sampler"),
        }
        | _output(1160, "extend_1", "image_to_video")
    )


def video_continuation() -> dict[str, Node]:
    return (
        LOADERS
        | {
            "note": _note(
                "The video is continued where it ends; the result holds both. Choose your own in **Load Video** (use "
                "**Trim Video** for a part of it) and say in the prompts what happens next.",
                (760, 420),
                (340, 130),
            ),
            "video": Node("LoadVideo", (0, 430), (300, 310), widgets={"file": EXAMPLE_VIDEO}),
            "prefix": Node(
                "MagiVAEEncode",
                (360, 620),
                (340, 180),
                widgets={"width": 128, "height": 128, "fit": "crop"},
                inputs={"vae": ("vae", "vae"), "video": ("video", "VIDEO")},
            ),
            "first": _prompt("a big blue square moves right on a white background", 360, "First new second"),
            "second": _prompt("it turns green", 760, "Second new second"),
            "sampler": _sampler(360, 1, "first", "prefix"),
            "extend_1": _extend(760, 1, "second", "sampler"),
        }
        | _output(1160, "extend_1", "video_continuation")
    )


GRAPHS = {graph.__name__: graph for graph in (text_to_video, image_to_video, video_continuation)}
