"""The shipped workflows as plain data: which nodes, their widgets, what is connected to what.

`author_workflows` has the real frontend build and serialise them; nobody writes the JSON by hand. Here are those that
begin a video; those that need more than one run of it are in `take_workflow_graphs`.
"""

from __future__ import annotations

from tools.workflows.parts import (
    BOARD_ROW,
    MODELS,
    ROW,
    Node,
    Workflow,
    board,
    decode,
    encode,
    extend,
    info,
    loaders,
    note,
    prompt,
    sampler,
    save_video,
)

EXAMPLE_IMAGE = "magi_example_image.png"
EXAMPLE_VIDEO = "magi_example_video.mp4"
CAMERA_STORY = """0: a big red circle moves right by day
1: the camera pans right
2: it keeps moving right
3: the camera stops
4: it starts to rain
5: it turns purple
6: night falls
7: the rain stops
8: the camera zooms in
9: it bounces"""


def text_to_video() -> Workflow:
    nodes = loaders("nano-distill") | {
        "note": note(
            "Three prompts, two seconds each. Press **Run**.\n\nThen change the last prompt and run again: only the "
            "last two seconds are made again.\n\nConnect another **Magi Extend** to the last one, and the video goes "
            "on.",
            (0, 460),
        ),
        "first": prompt("a big red circle moves right on a gray background", (420, 0), "Seconds 1 and 2"),
        "second": prompt("it turns blue", (880, 0), "Seconds 3 and 4"),
        "third": prompt("it moves left", (1340, 0), "Seconds 5 and 6"),
        "sampler": sampler((420, ROW), "first", chunks=2, seed=4),
        "extend_1": extend((880, ROW), "second", "sampler", chunks=2),
        "extend_2": extend((1340, ROW), "third", "extend_1", chunks=2),
        "decode": decode((1800, 0), "extend_2"),
        "save": save_video((1800, 190), "text_to_video"),
    }
    groups = {
        "1. Model": MODELS,
        "2. What happens": ("first", "second", "third"),
        "3. Two seconds each": ("sampler", "extend_1", "extend_2"),
        "4. The video": ("decode", "save"),
    }
    return Workflow(nodes, groups)


def storyboard() -> Workflow:
    nodes = loaders("nano-distill") | {
        "note": note(
            "A line for every second, counted from 0; **2-4:** is a range. **chunks** in the sampler may be more than "
            "the lines: the last one goes on.\n\nChange a line and run again: the seconds before it are not made "
            "again.",
            (0, 460),
        ),
        "board": board(
            "0: a big yellow star moves right by day\n1: it turns purple\n2: it moves up\n3: it stops", (420, 0)
        ),
        "sampler": sampler((420, BOARD_ROW), "board"),
        "decode": decode((960, 0), "sampler"),
        "save": save_video((960, 190), "storyboard"),
        "info": info((1420, 0), "sampler", (460, 600)),
    }
    groups = {
        "1. Model": MODELS,
        "2. The story, second by second": ("board", "sampler"),
        "3. The video": ("decode", "save", "info"),
    }
    return Workflow(nodes, groups)


def camera_and_weather() -> Workflow:
    nodes = loaders("nano-distill") | {
        "note": note(
            "Ten seconds, told line by line: the camera, the weather and the time of day change, and what is not "
            "named stays.\n\nOutdoors (day, night) you can say **the camera pans left**, **zooms in**, **the camera "
            "stops**, **it starts to rain**, **the rain stops**, **night falls**.",
            (0, 460),
        ),
        "board": board(CAMERA_STORY, (420, 0)),
        "sampler": sampler((420, BOARD_ROW), "board"),
        "decode": decode((960, 0), "sampler"),
        "save": save_video((960, 190), "camera_and_weather"),
        "info": info((1420, 0), "sampler", (460, 600)),
    }
    groups = {
        "1. Model": MODELS,
        "2. Ten seconds outdoors": ("board", "sampler"),
        "3. The video": ("decode", "save", "info"),
    }
    return Workflow(nodes, groups)


def image_to_video() -> Workflow:
    nodes = loaders("nano-distill") | {
        "note": note(
            "The image becomes the first frame. Choose your own in **Load Image**, set the size in **Magi VAE "
            "Encode**, and say in the prompts what happens.",
            (0, 460),
            (300, 180),
        ),
        "image": Node("LoadImage", (420, 0), (340, 330), widgets={"image": EXAMPLE_IMAGE}),
        "prefix": encode((420, 480), image=("image", "IMAGE")),
        "first": prompt("a big red circle moves right on a gray background", (880, 0), "First second"),
        "second": prompt("it moves up", (1340, 0), "Second second"),
        "sampler": sampler((880, ROW), "first", prefix="prefix"),
        "extend_1": extend((1340, ROW), "second", "sampler"),
        "decode": decode((1800, 0), "extend_1"),
        "save": save_video((1800, 190), "image_to_video"),
    }
    groups = {
        "1. Model": MODELS,
        "2. What it starts with": ("image", "prefix"),
        "3. What happens": ("first", "second", "sampler", "extend_1"),
        "4. The video": ("decode", "save"),
    }
    return Workflow(nodes, groups)


def video_continuation() -> Workflow:
    nodes = loaders("nano-distill") | {
        "note": note(
            "The video is continued where it ends; the result holds both. Choose your own in **Load Video** (use "
            "**Trim Video** for a part of it), and say in the prompts what happens next.",
            (0, 460),
            (300, 200),
        ),
        "video": Node("LoadVideo", (420, 0), (340, 330), widgets={"file": EXAMPLE_VIDEO}),
        "prefix": encode((420, 480), video=("video", "VIDEO")),
        "first": prompt("a big blue square moves right on a white background", (880, 0), "First new second"),
        "second": prompt("it turns green", (1340, 0), "Second new second"),
        "sampler": sampler((880, ROW), "first", prefix="prefix"),
        "extend_1": extend((1340, ROW), "second", "sampler"),
        "decode": decode((1800, 0), "extend_1"),
        "save": save_video((1800, 190), "video_continuation"),
    }
    groups = {
        "1. Model": MODELS,
        "2. What it starts with": ("video", "prefix"),
        "3. What happens next": ("first", "second", "sampler", "extend_1"),
        "4. Both in one video": ("decode", "save"),
    }
    return Workflow(nodes, groups)
