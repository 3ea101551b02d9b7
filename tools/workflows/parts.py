"""What the shipped workflows are built of: nodes, groups, and the arrangements that many of them share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MODELS = ("model", "text_encoder", "vae")  # names of `loaders`
SIDE = 128  # pixels; nano's
SEED = 7
ROW = 370  # where the second row of nodes begins: below prompts
BOARD_ROW = 420  # below storyboards
PROMPT, STATE, RESULT, NOTE = "green", "blue", "purple", "yellow"  # of the colours that nodes can be given in ComfyUI


@dataclass(frozen=True)
class Node:
    """One node: type, place and size on the canvas, widget values, and inputs as `input: (node, output)`.

    bypassed: it is there to be switched on; what comes in goes out.
    grows: pixels that previews add to it when it runs; the frame of its group leaves room for them.
    """

    type: str
    pos: tuple[int, int]
    size: tuple[int, int] | None = None
    title: str | None = None
    widgets: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, tuple[str, str]] = field(default_factory=dict)
    colour: str | None = None
    bypassed: bool = False
    grows: int = 0


@dataclass(frozen=True)
class Workflow:
    """Nodes by name, and groups of them: a title, and which nodes it is drawn around."""

    nodes: dict[str, Node]
    groups: dict[str, tuple[str, ...]]


def loaders(model: str) -> dict[str, Node]:
    """The three at the left."""
    return {
        "model": Node("MagiLoadModel", (0, 0), (300, 110), widgets={"model": model}),
        "text_encoder": Node("MagiLoadTextEncoder", (0, 150), (300, 110), widgets={"model": model}),
        "vae": Node("MagiLoadVAE", (0, 300), (300, 110), widgets={"model": model}),
    }


def note(text: str, pos: tuple[int, int], size: tuple[int, int] = (300, 240)) -> Node:
    return Node("MarkdownNote", pos, size, title="Read me", widgets={"": text}, colour=NOTE)


def prompt(text: str, pos: tuple[int, int], title: str, said_by: tuple[str, str] | None = None) -> Node:
    """A Text Encode. said_by: the node and output that give the text in place of `text`."""
    return Node(
        "MagiTextEncode",
        pos,
        (340, 180),
        title=title,
        widgets={} if said_by else {"prompt": text},
        inputs={"text_encoder": ("text_encoder", "text_encoder")} | ({"prompt": said_by} if said_by else {}),
        colour=PROMPT,
    )


def board(lines: str, pos: tuple[int, int], size: tuple[int, int] = (420, 306)) -> Node:
    return Node(
        "MagiStoryboard",
        pos,
        size,
        widgets={"text": lines},
        inputs={"text_encoder": ("text_encoder", "text_encoder")},
        colour=PROMPT,
        grows=40,  # in Nodes 2.0
    )


def sampler(
    pos: tuple[int, int],
    said: str,
    *,
    chunks: int = 1,
    model: str = "model",
    prefix: str | None = None,
    title: str | None = None,
    **widgets: Any,
) -> Node:
    """A Chunk Sampler that shows what it makes.

    said, prefix: the nodes of the prompt or storyboard, and of what the video starts with.
    """
    size = {"width": SIDE, "height": SIDE}
    inputs = {"model": (model, "model"), "conditioning": (said, "conditioning"), "vae": ("vae", "vae")}
    return Node(
        "MagiChunkSampler",
        pos,
        (340, 330),
        title=title,
        grows=290,
        widgets=size | {"chunks": chunks, "seed": SEED} | widgets,
        inputs=inputs | ({"prefix": (prefix, "prefix")} if prefix else {}),
        colour=STATE,
    )


def extend(
    pos: tuple[int, int],
    said: str,
    state: str,
    *,
    chunks: int = 1,
    model: str = "model",
    title: str | None = None,
    **widgets: Any,
) -> Node:
    """An Extend that shows what it makes."""
    inputs = {"model": (model, "model"), "state": (state, "state"), "conditioning": (said, "conditioning")}
    return Node(
        "MagiExtend",
        pos,
        (340, 160),
        title=title,
        grows=290,
        widgets={"chunks": chunks} | widgets,
        inputs=inputs | {"vae": ("vae", "vae")},
        colour=STATE,
    )


def second_pass(
    pos: tuple[int, int], state: str, *, said: str = "", model: str = "model", title: str | None = None, **widgets: Any
) -> Node:
    """A Second Pass over a take that shows what it makes. said: the node of the words; "": the take's own."""
    words = {"conditioning": (said, "conditioning")} if said else {"text_encoder": ("text_encoder", "text_encoder")}
    inputs = {"model": (model, "model"), "state": (state, "state"), "vae": ("vae", "vae")}
    return Node(
        "MagiSecondPass",
        pos,
        (340, 420),
        title=title,
        grows=290,
        widgets=widgets,
        inputs=inputs | words,
        colour=STATE,
    )


def retouch(pos: tuple[int, int], said: str, state: str, first: int, last: int, **widgets: Any) -> Node:
    """A Retouch that shows what it makes."""
    inputs = {"model": ("model", "model"), "state": (state, "state"), "vae": ("vae", "vae")}
    words = {"conditioning": (said, "conditioning"), "text_encoder": ("text_encoder", "text_encoder")}
    return Node(
        "MagiRetouch",
        pos,
        (340, 270),
        grows=290,
        widgets={"first": first, "last": last} | widgets,
        inputs=inputs | words,
        colour=STATE,
    )


def encode(pos: tuple[int, int], **given: tuple[str, str]) -> Node:
    """A VAE Encode of the image or the video given."""
    return Node(
        "MagiVAEEncode",
        pos,
        (340, 210),
        widgets={"width": SIDE, "height": SIDE, "fit": "crop"},
        inputs={"vae": ("vae", "vae")} | given,
    )


def decode(pos: tuple[int, int], state: str, title: str | None = None) -> Node:
    inputs = {"vae": ("vae", "vae"), "state": (state, "state")}
    return Node("MagiVAEDecode", pos, (260, 100), title=title, inputs=inputs, colour=RESULT)


def info(pos: tuple[int, int], state: str, size: tuple[int, int], title: str | None = None) -> Node:
    """A State Info with its contact sheet."""
    inputs = {"state": (state, "state"), "vae": ("vae", "vae"), "model": ("model", "model")}
    return Node("MagiStateInfo", pos, size, title=title, inputs=inputs, colour=RESULT)


def save_video(pos: tuple[int, int], name: str, video: tuple[str, str] = ("decode", "video")) -> Node:
    widgets = {"filename_prefix": f"video/magi_{name}"}
    return Node("SaveVideo", pos, (340, 420), widgets=widgets, inputs={"video": video}, colour=RESULT)
