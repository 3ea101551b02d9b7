"""The shipped workflows of the second pass, as plain data like `graphs`: another look, a part made anew, a draft."""

from __future__ import annotations

from tools.workflows.parts import (
    BOARD_ROW,
    MODELS,
    RESULT,
    Node,
    Workflow,
    board,
    decode,
    info,
    loaders,
    note,
    prompt,
    retouch,
    sampler,
    save_video,
    second_pass,
)


def change_the_look() -> Workflow:
    nodes = loaders("nano-distill") | {
        "note": note(
            "A take is made, and made again with other words: at **strength** 0.5 it looks as the words say and moves "
            "as it did. Less keeps more of it; 1 makes all anew.\n\n**Magi Retouch** makes second 1 once more. The "
            "seconds around it stay bit for bit.\n\nIn place of the take, a video of your own may go into **video** of "
            "**Magi Second Pass**; it keeps its sound.",
            (0, 460),
            (300, 290),
        ),
        "story": board(
            "0: a big red circle moves right on a gray background\n1: it moves up\n2: it moves left\n3: it moves down",
            (420, 0),
        ),
        "sampler": sampler((420, BOARD_ROW), "story", title="The take"),
        "look": board(
            "0: a big blue circle moves right on a gray background\n1: it moves up\n2: it moves left\n3: it moves down",
            (960, 0),
        ),
        "again": second_pass((960, BOARD_ROW), "sampler", said="look", seed=9),
        "other": prompt("a big yellow circle moves up on a gray background", (1500, 0), "Second 1"),
        "part": retouch((1500, BOARD_ROW), "other", "again", 1, 1, strength=0.7),
        "decode_before": decode((1960, 0), "sampler", "Decode the take"),
        "decode_after": decode((1960, 190), "part", "Decode what became of it"),
        "side_by_side": Node(
            "ImageStitch",
            (1960, 380),
            (340, 140),
            widgets={"direction": "right"},
            inputs={"image1": ("decode_before", "images"), "image2": ("decode_after", "images")},
            colour=RESULT,
        ),
        "video": Node(
            "CreateVideo",
            (1960, 610),
            (340, 110),
            widgets={"fps": 24},
            inputs={"images": ("side_by_side", "IMAGE")},
            colour=RESULT,
        ),
        "save": save_video((2420, 0), "change_the_look", ("video", "VIDEO")),
    }
    groups = {
        "1. Model": MODELS,
        "2. A take": ("story", "sampler"),
        "3. Another look, the same motion": ("look", "again"),
        "4. One second made anew": ("other", "part"),
        "5. Side by side": ("decode_before", "decode_after", "side_by_side", "video", "save"),
    }
    return Workflow(nodes, groups)


def draft_choose_finish() -> Workflow:
    lower = 720
    nodes = loaders("nano-distill") | {
        "note": note(
            "Two drafts of the same story, made with the fast model: look at both, and change **seed** until you like "
            "one.\n\nConnect that one to **Magi Second Pass**: the slow model makes it again with the same words, and "
            "where everything is and how it moves stays.\n\nDo the same with the 4.5B and the 24B model: both belong "
            "to one VAE.",
            (0, 460),
            (300, 290),
        ),
        "story": board(
            "0: a big green triangle moves right on a white background\n1: it turns pink\n2: it moves left", (420, 0)
        ),
        "draft_a": sampler((960, 0), "story", title="Draft A"),
        "info_a": info((1420, 0), "draft_a", (340, 450), "Draft A"),
        "draft_b": sampler((960, lower), "story", title="Draft B", seed=8),
        "info_b": info((1420, lower), "draft_b", (340, 450), "Draft B"),
        "better": Node("MagiLoadModel", (1880, 0), (340, 110), title="The slow model", widgets={"model": "nano"}),
        "finished": second_pass((1880, 200), "draft_b", model="better"),
        "decode": decode((2340, 0), "finished"),
        "save": save_video((2340, 190), "draft_choose_finish"),
    }
    groups = {
        "1. Models": MODELS,
        "2. The story": ("story",),
        "3. Two drafts": ("draft_a", "info_a", "draft_b", "info_b"),
        "4. The chosen one, finished": ("better", "finished"),
        "5. The video": ("decode", "save"),
    }
    return Workflow(nodes, groups)
