"""`Magi Storyboard`: what happens in every chunk, typed in one place."""

from __future__ import annotations

from typing import Any

import comfy.model_management as management
import comfy.utils
from comfy_api.latest import io

from magi_core.story.direction import encode_directions
from magi_core.story.storyboard import parse_storyboard
from magi_core.text import PromptEmbedding

from .desk.made import note_run
from .host.text_encoder import text_encoder_of
from .ui.checks import Checked
from .ui.progress import show, show_notes
from .ui.widgets import clean_input
from .wires import CATEGORY, Conditioning, Prompts, Story, TextEncoder

EXAMPLE = "0-1: a big red circle moves right on a gray background\n2: it turns blue\n3: it moves left"


def _check_text(text: str, fps: float) -> None:
    parse_storyboard(text, fps=fps)


class MagiStoryboard(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiStoryboard",
            display_name="Magi Storyboard",
            category=CATEGORY,
            description="Says in one text what happens in every chunk, with cuts, rerolls and special tokens, and "
            "encodes it all for one Magi Chunk Sampler or Magi Extend. When a line changes, only what comes after is "
            "made again.",
            search_aliases=["magi storyboard", "prompt schedule", "prompt travel", "shot list", "script", "timeline"],
            inputs=[
                io.MultiType.Input(
                    "text_encoder",
                    [TextEncoder, io.Clip],
                    tooltip="From Magi Load Text Encoder, or ComfyUI's Load CLIP as in Magi Text Encode.",
                ),
                io.String.Input(
                    "text",
                    multiline=True,
                    default=EXAMPLE,
                    placeholder="0-2: a ball rolls along a table\n3 [new_shot]: it stops\n4s-6s: a hand picks it up",
                    tooltip="One line per chunk or range of chunks, counted from 0: '0-2: ...', '3 [cut]: ...', in "
                    "seconds '4s-6s: ...'; lines without a number follow the line above, # is a comment. Or the same "
                    "as JSON.",
                ),
                io.Float.Input(
                    "fps",
                    default=24.0,
                    min=1.0,
                    max=240.0,
                    step=1.0,
                    advanced=True,
                    tooltip="Frame rate of the finished video, for places in seconds: a chunk lasts 24 frames.",
                ),
                clean_input(),
            ],
            outputs=[
                Conditioning.Output(
                    display_name="conditioning",
                    tooltip="The prompts of all chunks, for Magi Chunk Sampler or Magi Extend.",
                ),
                Story.Output(display_name="storyboard", tooltip="The storyboard itself, for Magi Storyboard Prompt."),
                io.Int.Output(display_name="chunks", tooltip="How many chunks it describes."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
        )

    validate_inputs = classmethod(Checked("MagiStoryboard", {"text": _check_text}))

    @classmethod
    def execute(cls, text_encoder: Any, text: str, fps: float, clean: bool = True) -> io.NodeOutput:
        note_run(cls.hidden.prompt, {"text_encoder": text_encoder})
        board = parse_storyboard(text, fps=fps)
        prompts, node_id = len(set(board.prompts)), cls.hidden.unique_id
        if board.notes:
            show(node_id, *board.notes)
        encoder = _Counting(text_encoder_of(text_encoder, clean=clean), prompts, node_id)
        chunks = encode_directions(board.chunks, encoder)
        show_notes(node_id, [*board.notes, *encoder.notes])
        return io.NodeOutput(Prompts.of(chunks), board, len(board))


class _Counting:
    """A text encoder with a progress bar, which stops between prompts when the user interrupts."""

    def __init__(self, encoder: Any, prompts: int, node_id: str | None) -> None:
        self.encoder = encoder
        self.notes: list[str] = []
        self._bar = comfy.utils.ProgressBar(prompts, node_id=node_id)

    def encode(self, prompt: str) -> PromptEmbedding:
        management.throw_exception_if_processing_interrupted()
        embedding = self.encoder.encode(prompt)
        self._bar.update(1)
        self.notes += [f"'{prompt[:30]}': {note}" for note in embedding.notes]
        return embedding
