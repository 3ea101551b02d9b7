"""`Magi Text Encode`: the prompt of one or more chunks, with the model's special tokens as switches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from magi_core.text import PromptEmbedding, prepare_caption

from .desk.made import note_run
from .host.text_encoder import text_encoder_of
from .ui.checks import Checked
from .ui.progress import show_notes
from .ui.widgets import clean_input
from .wires import CATEGORY, Conditioning, Prompt, TextEncoder

SWITCHES = {
    "high_quality": ("HQ", True, "Ask for the look of the training set's best footage. Leave it on."),
    "still_start": ("STATIC_FIRST_FRAMES", False, "Ask for a start without motion."),
    "moving_start": ("DYNAMIC_FIRST_FRAMES", False, "Ask for motion from the first frame on."),
    "look_3d": ("THREE_D_MODEL", False, "Ask for the look of a rendered 3-D model."),
    "look_2d_anime": ("TWO_D_ANIME", False, "Ask for the look of 2-D animation."),
    "borders": ("BORDERNESS", False, "Ask for black borders around the picture."),
}


def _check_prompt(prompt: str) -> None:
    prepare_caption(prompt)


class MagiTextEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiTextEncode",
            display_name="Magi Text Encode",
            category=CATEGORY,
            description="Encodes the prompt of one or more chunks. A chunk is 24 frames, one second at 24 fps; "
            "connect another Magi Text Encode to every Magi Extend to direct the video second by second.",
            search_aliases=["magi prompt", "chunk prompt", "magi conditioning", "magi clip text encode"],
            inputs=[
                io.MultiType.Input(
                    "text_encoder",
                    [TextEncoder, io.Clip],
                    tooltip="From Magi Load Text Encoder; or for official models a t5xxl file you already have, from "
                    "ComfyUI's Load CLIP with type mochi or ltxv.",
                ),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    dynamic_prompts=True,
                    default="",
                    placeholder="what happens in these seconds of video",
                    tooltip="What happens in the chunks made with this prompt. Up to 800 tokens; longer prompts are "
                    "cut, and the node says so. Left empty, the chunks simply follow what came before.",
                ),
                *(
                    io.Boolean.Input(name, default=default, tooltip=tooltip, advanced=name != "high_quality")
                    for name, (_, default, tooltip) in SWITCHES.items()
                ),
                clean_input(),
            ],
            outputs=[
                Conditioning.Output(display_name="conditioning", tooltip="For Magi Chunk Sampler and Magi Extend.")
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
        )

    validate_inputs = classmethod(Checked("MagiTextEncode", {"prompt": _check_prompt}))

    @classmethod
    def execute(cls, text_encoder: Any, prompt: str, clean: bool = True, **switches: bool) -> io.NodeOutput:
        note_run(cls.hidden.prompt, {"text_encoder": text_encoder})
        embedding: PromptEmbedding = text_encoder_of(text_encoder, clean=clean).encode(prompt)
        show_notes(cls.hidden.unique_id, embedding.notes)
        names = tuple(token for name, (token, _, _) in SWITCHES.items() if switches[name])
        return io.NodeOutput(Prompt.of(replace(embedding, special_tokens=names)))
