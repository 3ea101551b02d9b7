"""The shipped workflows about takes, as plain data like `workflow_graphs`: fork, cut, save and go on, long videos."""

from __future__ import annotations

from tests.comfy.workflow_parts import (
    BOARD_ROW,
    MODELS,
    PROMPT,
    RESULT,
    ROW,
    STATE,
    Node,
    Workflow,
    board,
    decode,
    extend,
    info,
    loaders,
    note,
    prompt,
    sampler,
    save_video,
)

EXAMPLE_TAKE = "magi_example_take.magi [input]"


def fork_two_takes() -> Workflow:
    lower = 760
    nodes = loaders("nano-distill") | {
        "note": note(
            "Both **Magi Extend** nodes go on from the same state, which neither of them changes: two takes of what is "
            "next, side by side.\n\nChange one of the two prompts and run again: the beginning and the other take are "
            "kept.",
            (0, 460),
        ),
        "first": prompt("a big green square moves right on a white background", (370, 0), "The beginning"),
        "sampler": sampler((370, ROW), "first"),
        "prompt_a": prompt("it moves up", (780, 0), "Take A"),
        "take_a": extend((1190, 0), "prompt_a", "sampler", title="Magi Extend: take A"),
        "info_a": info((1600, 130), "take_a", (420, 420), "Take A"),
        "decode_a": decode((1760, 0), "take_a", "Decode take A"),
        "prompt_b": prompt("it turns pink", (780, lower), "Take B"),
        "take_b": extend((1190, lower), "prompt_b", "sampler", title="Magi Extend: take B"),
        "info_b": info((1600, lower + 130), "take_b", (420, 420), "Take B"),
        "decode_b": decode((1760, lower), "take_b", "Decode take B"),
        "side_by_side": Node(
            "ImageStitch",
            (2090, 0),
            (340, 140),
            widgets={"direction": "right"},
            inputs={"image1": ("decode_a", "images"), "image2": ("decode_b", "images")},
            colour=RESULT,
        ),
        "video": Node(
            "CreateVideo",
            (2090, 220),
            (340, 110),
            widgets={"fps": 24},
            inputs={"images": ("side_by_side", "IMAGE")},
            colour=RESULT,
        ),
        "save": save_video((2090, 400), "two_takes", ("video", "VIDEO")),
    }
    groups = {
        "1. Model": MODELS,
        "2. One beginning": ("first", "sampler"),
        "3. Take A": ("prompt_a", "take_a", "decode_a", "info_a"),
        "3. Take B": ("prompt_b", "take_b", "decode_b", "info_b"),
        "4. Side by side": ("side_by_side", "video", "save"),
    }
    return Workflow(nodes, groups)


def shot_transitions() -> Workflow:
    nodes = loaders("nano-distill") | {
        "note": note(
            "How a second follows the one before:\n\n- no tag: it goes on\n- **[new_shot]**: another view of the same "
            "things\n- **[restyle]**: the same layout, other details\n- **[cut]**: something else; say everything "
            "again\n- **[reroll 1]**: the same with other noise\n\nThe sheet is saved beside the video.",
            (0, 460),
            (300, 300),
        ),
        "board": board(
            "0: a big orange square moves right by day\n1 [new_shot]: a big orange square moves up by day\n"
            "2 [restyle]: it turns blue\n3 [cut]: a big green triangle bounces on a black background",
            (370, 0),
        ),
        "sampler": sampler((370, BOARD_ROW), "board"),
        "info": info((1230, 0), "sampler", (460, 600)),
        "decode": decode((850, 0), "sampler"),
        "save": save_video((850, 130), "shot_transitions"),
        "save_sheet": Node(
            "SaveImage",
            (1750, 0),
            (340, 600),
            title="Save the sheet",
            widgets={"filename_prefix": "magi_shot_transitions"},
            inputs={"images": ("info", "contact_sheet")},
            colour=RESULT,
        ),
    }
    groups = {
        "1. Model": MODELS,
        "2. The shots": ("board", "sampler"),
        "3. What came of them": ("info", "decode", "save", "save_sheet"),
    }
    return Workflow(nodes, groups)


def save_and_extend() -> Workflow:
    nodes = loaders("nano-distill") | {
        "note": note(
            "**Today** a video is begun and saved: **output/magi/ball_00001_.magi**.\n\n**Tomorrow** it goes on, "
            "perhaps after a restart. A saved take comes with this workflow. For your own press **R** and choose it in "
            "**Magi Load State**.\n\n**Magi Rewind** leaves out the last second before another one is made: **-1** "
            "leaves out one, **2** keeps two.",
            (0, 460),
            (300, 330),
        ),
        "today": board(
            "0: a big blue triangle moves right on a white background\n1: it turns red", (370, 0), (340, 250)
        ),
        "sampler": sampler((370, BOARD_ROW), "today"),
        "keep": Node(
            "MagiSaveState",
            (780, 60),
            (340, 140),
            widgets={"filename_prefix": "ball"},
            inputs={"state": ("sampler", "state")},
            colour=STATE,
        ),
        "info": info((780, 250), "sampler", (420, 450), "Today"),
        "load": Node(
            "MagiLoadState",
            (1270, 100),
            (340, 100),
            widgets={"take": EXAMPLE_TAKE},
            inputs={"model": ("model", "model")},
            colour=STATE,
        ),
        "back": Node(
            "MagiRewind",
            (1270, 280),
            (340, 100),
            widgets={"chunks": -1},
            inputs={"state": ("load", "state"), "model": ("model", "model")},
            colour=STATE,
        ),
        "next": prompt("it moves left", (1270, 440), "What happens now"),
        "extend_1": extend((1680, 0), "next", "back"),
        "decode": decode((2090, 0), "extend_1"),
        "save": save_video((2090, 130), "tomorrow"),
    }
    groups = {
        "1. Model": MODELS,
        "2. Today": ("today", "sampler", "keep", "info"),
        "3. Tomorrow": ("load", "back", "next", "extend_1", "decode", "save"),
    }
    return Workflow(nodes, groups)


def long_stream_to_file() -> Workflow:
    """Two reels: what the first one leaves in flight, the second one finishes."""
    nodes = loaders("nano-distill") | {
        "lora": Node("MagiLoRA", (370, 0), (300, 110), inputs={"model": ("model", "model")}, bypassed=True),
        "settings": Node("MagiModelSettings", (370, 180), (300, 150), inputs={"model": ("lora", "model")}),
        "note": note(
            "**Magi Decode to File** writes the video chunk by chunk: however long it gets, memory stays the same, and "
            "the file can be watched while it grows.\n\nThe first reel leaves its last seconds half done "
            "(*leave_in_flight*, an advanced widget), the second reel finishes them: together they cost what one run "
            "costs.\n\n*autosave* keeps the take on disk while it is made. After a crash, **Magi Load State** goes on "
            "with it.\n\n**Magi LoRA** is bypassed: put a LoRA for MAGI-1 into **models/loras**, choose it and press "
            "**Ctrl+B**.",
            (0, 460),
            (670, 240),
        ),
        "board": board(
            "0-1: a big purple circle moves right on a black background\n2: it turns yellow\n3: the circle moves up\n"
            "4: the circle moves left",
            (740, 0),
            (340, 250),
        ),
        "sampler": sampler(
            (740, BOARD_ROW),
            "board",
            model="settings",
            leave_in_flight=True,
            autosave="long_stream",
            title="First reel",
        ),
        "last_line": Node(
            "MagiStoryboardPrompt",
            (1130, 0),
            (340, 110),
            widgets={"chunk": -1},
            inputs={"storyboard": ("board", "storyboard")},
            colour=PROMPT,
        ),
        "prompt": prompt("", (1130, 160), "The last line goes on", ("last_line", "prompt")),
        "extend_1": extend(
            (1130, ROW + 90),
            "prompt",
            "sampler",
            chunks=2,
            model="settings",
            title="Second reel",
            autosave="long_stream",
        ),
        "file": Node(
            "MagiDecodeToFile",
            (1540, 0),
            (340, 420),
            widgets={"filename_prefix": "video/magi_long_stream"},
            inputs={"vae": ("vae", "vae"), "state": ("extend_1", "state")},
            colour=RESULT,
        ),
    }
    groups = {
        "1. Model": (*MODELS, "lora", "settings"),
        "2. First reel": ("board", "sampler"),
        "3. Second reel": ("last_line", "prompt", "extend_1"),
        "4. Straight to the file": ("file",),
    }
    return Workflow(nodes, groups)
