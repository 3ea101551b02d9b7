"""`Magi VAE Decode`: the video so far, as frames and as a video."""

from __future__ import annotations

import comfy.model_management as management
import comfy.utils
import torch
from comfy_api.latest import InputImpl, Types, io

from magi_core.vae import VAE as Autoencoder
from magi_core.video import exact_fps

from .wires import CATEGORY, VAE, Generation, State


class MagiVAEDecode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiVAEDecode",
            display_name="Magi VAE Decode",
            category=CATEGORY,
            description="Decodes the video so far, what it started with included. Connect it anywhere along a chain "
            "of Magi Extend nodes to look at that point.",
            search_aliases=["magi preview", "latent to video", "state to video", "decode video"],
            inputs=[
                VAE.Input("vae", tooltip="From Magi Load VAE."),
                State.Input("state", tooltip="From Magi Chunk Sampler or Magi Extend."),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="All frames, for ComfyUI's image nodes."),
                io.Video.Output(display_name="video", tooltip="The same frames as a video, for Save Video."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, vae: Autoencoder, state: Generation) -> io.NodeOutput:
        made = state.state
        frames = torch.empty(made.frames, made.height, made.width, 3)
        bar = comfy.utils.ProgressBar(made.frames, node_id=cls.hidden.unique_id)
        done = 0
        for block in vae.decode(state.latents):
            management.throw_exception_if_processing_interrupted()
            torch.div(block, 255, out=frames[done : done + len(block)])
            done += len(block)
            bar.update_absolute(done)
        parts = Types.VideoComponents(images=frames, frame_rate=exact_fps(made.fps))
        return io.NodeOutput(frames, InputImpl.VideoFromComponents(parts))
