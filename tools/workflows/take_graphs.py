"""The shipped workflows about takes, as plain data like `workflow_graphs`: fork, cut, save and go on, long videos."""

from __future__ import annotations

from tools.workflows.parts import (
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
    lower = 770
    nodes = loaders("nano-distill") | {
        "note": note(
            "Both **Magi Extend** nodes go on from the same state, which neither of them changes: two takes of what is "
            "next, side by side.\n\nChange one of the two prompts and run again: the beginning and the other take are "
            "kept.",
            (0, 460),
        ),
        "first": prompt("a big green square moves right on a white background", (420, 0), "The beginning"),
        "sampler": sampler((420, ROW), "first"),
        "prompt_a": prompt("it moves up", (880, 0), "Take A"),
        "take_a": extend((880, 230), "prompt_a", "sampler", title="Magi Extend: take A"),
        "info_a": info((1340, 190), "take_a", (340, 300), "Take A"),
        "decode_a": decode((1340, 0), "take_a", "Decode take A"),
        "prompt_b": prompt("it turns pink", (880, lower), "Take B"),
        "take_b": extend((880, lower + 230), "prompt_b", "sampler", title="Magi Extend: take B"),
        "info_b": info((1340, lower + 190), "take_b", (340, 300), "Take B"),
        "decode_b": decode((1340, lower), "take_b", "Decode take B"),
        "side_by_side": Node(
            "ImageStitch",
            (1800, 0),
            (340, 140),
            widgets={"direction": "right"},
            inputs={"image1": ("decode_a", "images"), "image2": ("decode_b", "images")},
            colour=RESULT,
        ),
        "video": Node(
            "CreateVideo",
            (1800, 250),
            (340, 110),
            widgets={"fps": 24},
            inputs={"images": ("side_by_side", "IMAGE")},
            colour=RESULT,
        ),
        "save": save_video((1800, 460), "two_takes", ("video", "VIDEO")),
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
            (420, 0),
        ),
        "sampler": sampler((420, BOARD_ROW), "board"),
        "info": info((1420, 0), "sampler", (460, 600)),
        "decode": decode((960, 0), "sampler"),
        "save": save_video((960, 190), "shot_transitions"),
        "save_sheet": Node(
            "SaveImage",
            (2000, 0),
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
            "0: a big blue triangle moves right on a white background\n1: it turns red", (420, 0), (340, 250)
        ),
        "sampler": sampler((420, BOARD_ROW), "today"),
        "keep": Node(
            "MagiSaveState",
            (880, 60),
            (340, 140),
            widgets={"filename_prefix": "ball"},
            inputs={"state": ("sampler", "state")},
            colour=STATE,
        ),
        "info": info((880, 280), "sampler", (340, 450), "Today"),
        "load": Node(
            "MagiLoadState",
            (1340, 100),
            (340, 100),
            widgets={"take": EXAMPLE_TAKE},
            inputs={"model": ("model", "model")},
            colour=STATE,
        ),
        "back": Node(
            "MagiRewind",
            (1340, 280),
            (340, 100),
            widgets={"chunks": -1},
            inputs={"state": ("load", "state"), "model": ("model", "model")},
            colour=STATE,
        ),
        "next": prompt("it moves left", (1340, 460), "What happens now"),
        "extend_1": extend((1800, 0), "next", "back"),
        "decode": decode((1800, 500), "extend_1"),
        "save": save_video((1800, 690), "tomorrow"),
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
        "lora": Node("MagiLoRA", (400, 0), (300, 110), inputs={"model": ("model", "model")}, bypassed=True),
        "settings": Node("MagiModelSettings", (400, 180), (300, 150), inputs={"model": ("lora", "model")}),
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
            (820, 0),
            (340, 250),
        ),
        "sampler": sampler(
            (820, BOARD_ROW),
            "board",
            model="settings",
            leave_in_flight=True,
            autosave="long_stream",
            title="First reel",
        ),
        "last_line": Node(
            "MagiStoryboardPrompt",
            (1280, 0),
            (340, 110),
            widgets={"chunk": -1},
            inputs={"storyboard": ("board", "storyboard")},
            colour=PROMPT,
        ),
        "prompt": prompt("", (1280, 160), "The last line goes on", ("last_line", "prompt")),
        "extend_1": extend(
            (1280, ROW + 90),
            "prompt",
            "sampler",
            chunks=2,
            model="settings",
            title="Second reel",
            autosave="long_stream",
        ),
        "file": Node(
            "MagiDecodeToFile",
            (1740, 0),
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
