"""`Magi VAE Decode`: the video so far, as frames and as a video."""

from __future__ import annotations

from typing import Any

import comfy.sd
import comfy.utils
import torch
from comfy_api.latest import InputImpl, Types, io

from magi_core.errors import MagiError
from magi_core.host_memory import physical_memory
from magi_core.state import SamplerState, other_vae
from magi_core.state.decode import TakeDecoder
from magi_core.video import exact_fps

from .desk.sounds import note_audio
from .host.sound import heard_in, to_audio
from .host.vae import fill, magi_vae
from .ui.checks import Checked
from .ui.codec_notes import noting
from .ui.foreseen import check_plan
from .ui.progress import show_notes
from .wires import CATEGORY, HeldState, State


def _check_state(state: object = None, of_node: str | None = None) -> None:
    check_plan("state", of_node)


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
                io.Vae.Input("vae", tooltip="From Magi Load VAE."),
                State.Input("state", tooltip="From Magi Chunk Sampler or Magi Extend."),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="Sound of the whole video. Without it, a video that was continued keeps its own sound, and "
                    "what follows is silent.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="All frames, for ComfyUI's image nodes."),
                io.Video.Output(display_name="video", tooltip="The same frames as a video, for Save Video."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
        )

    validate_inputs = classmethod(Checked("MagiVAEDecode", {"state": _check_state}))

    @classmethod
    def execute(cls, vae: comfy.sd.VAE, state: HeldState, audio: dict[str, Any] | None = None) -> io.NodeOutput:
        made, vae = state.state, magi_vae(vae)
        sound, fps = heard_in(made, audio), exact_fps(made.fps)
        note_audio(cls.hidden.prompt, cls.hidden.unique_id, audio)
        check_memory(made)
        show_notes(cls.hidden.unique_id, filter(None, [other_vae(made, vae.codec.identity)]))
        frames = torch.empty(made.frames, made.height, made.width, 3)
        bar = comfy.utils.ProgressBar(made.frames, node_id=cls.hidden.unique_id)
        with vae.working(made.frames, made.width, made.height) as codec, noting(codec, cls.hidden.unique_id):
            fill(frames, TakeDecoder(codec).decode(made), bar.update_absolute)
        heard = None if sound is None else to_audio(sound.lasting(made.frames / fps))
        parts = Types.VideoComponents(images=frames, frame_rate=fps, audio=heard)
        return io.NodeOutput(frames, InputImpl.VideoFromComponents(parts))


def check_memory(made: SamplerState) -> None:
    """Raise `MagiError` where all frames at once are more than the machine's memory."""
    need, there = made.frames * made.height * made.width * 3 * 4, physical_memory()
    if there is not None and need > there:
        raise MagiError(
            f"{made.frames} frames of {made.width}x{made.height} take {need / 1e9:.0f} GB at once, and this machine "
            f"has {there / 1e9:.0f}: decode them with Magi Decode to File"
        )
