"""`Magi State Info`: what is in a video in progress, in words and on one picture."""

from __future__ import annotations

import comfy.model_management as management
import comfy.sd
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import io, ui
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from magi_core.cache.describe import cache_in_words
from magi_core.config import VIDEO_FRAMES_PER_CHUNK
from magi_core.engine import Engine
from magi_core.errors import printable
from magi_core.state import SamplerState, other_vae
from magi_core.state.decode import TakeDecoder
from magi_core.state.describe import captions, describe
from magi_core.video.contact_sheet import ContactSheet

from .host.vae import PlacedVAE, magi_vae
from .ui.codec_notes import noting
from .ui.progress import show
from .wires import CATEGORY, HeldState, Model, State


class MagiStateInfo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiStateInfo",
            display_name="Magi State Info",
            category=CATEGORY,
            description="Says what a video in progress holds: chunks with their prompts and seeds, settings, notes, "
            "what the model remembers. With a VAE it also draws a contact sheet, one row per chunk.",
            search_aliases=["magi info", "inspect state", "contact sheet", "storyboard sheet", "show prompts"],
            inputs=[
                State.Input("state", tooltip="From any node that makes or loads a video in progress."),
                io.Vae.Input("vae", optional=True, tooltip="Optional, from Magi Load VAE: draws the contact sheet."),
                Model.Input(
                    "model",
                    optional=True,
                    tooltip="Optional: says what this model remembers, and in what it is other than the one that made "
                    "the video.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="text", tooltip="The description, a line per chunk or run of chunks."),
                io.Image.Output(
                    display_name="contact_sheet",
                    tooltip="Eight frames of every chunk with its time and prompt. Needs a VAE; without one, nodes "
                    "that are connected here do not run.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, state: HeldState, vae: comfy.sd.VAE | None = None, model: Engine | None = None) -> io.NodeOutput:
        made = state.state
        lines = describe(made, "this video")
        if model is not None:
            lines += [f"this model differs: {what}" for what in model.differences(made)]
            lines += cache_in_words(model.cache)
        if vae is not None and (note := other_vae(made, magi_vae(vae).codec.identity)):
            lines.append(f"note: {note}")
        text = printable("\n".join(lines))
        show(cls.hidden.unique_id, text)
        if vae is None or not made.frames:
            return io.NodeOutput(text, ExecutionBlocker(None), ui=ui.PreviewText(text))
        sheet, note = _sheet(magi_vae(vae), made, cls.hidden.unique_id)
        told = "\n".join(filter(None, [text, note]))
        shown = ui.PreviewImage(sheet, cls=cls).as_dict() | ui.PreviewText(told).as_dict()
        return io.NodeOutput(text, sheet, ui=shown)


def _sheet(vae: PlacedVAE, state: SamplerState, node_id: str | None) -> tuple[Tensor, str]:
    """The contact sheet as an IMAGE [1, H, W, 3], and its note; frames are decoded chunk by chunk and not kept."""
    sheet, decoded = ContactSheet(VIDEO_FRAMES_PER_CHUNK, missing=state.filled), 0
    bar = comfy.utils.ProgressBar(state.frames, node_id=node_id)
    with vae.working(VIDEO_FRAMES_PER_CHUNK, state.width, state.height) as codec, noting(codec, node_id):
        for block in TakeDecoder(codec).decode(state):
            management.throw_exception_if_processing_interrupted()
            sheet.add(block)
            decoded += len(block)
            bar.update_absolute(decoded)
    title = f"{state.width}x{state.height} · seed {state.seed} · {state.settings.steps} steps"
    picture = sheet.draw(captions(state), fps=state.fps, title=title)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None], sheet.note
