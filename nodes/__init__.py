"""The MAGI nodes for ComfyUI.

Loaders: Load Model, Load VAE, Load Text Encoder, LoRA, Model Settings. Prompts: Text Encode, Storyboard, Storyboard
Prompt. Video: VAE Encode, Chunk Sampler, Extend (KV cache), Second Pass, Retouch, Rewind, VAE Decode, Decode to File.
Takes: Save State, Load State, State Info. They are thin: widgets, tooltips, progress and the choice of device. What
they do is in `magi_core`.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .chunk_sampler import MagiChunkSampler
from .decode_to_file import MagiDecodeToFile
from .desk.made import knows
from .desk.plans import faults
from .desk.routes import register
from .extend import MagiExtend
from .host.example_inputs import offer_example_inputs
from .host.model_folder import register_model_folder
from .host.no_room import telling
from .host.queued import listen
from .load_model import MagiLoadModel
from .load_state import MagiLoadState
from .load_text_encoder import MagiLoadTextEncoder
from .load_vae import MagiLoadVAE
from .lora import MagiLoRA
from .model_settings import MagiModelSettings
from .retouch import MagiRetouch
from .rewind import MagiRewind
from .save_state import MagiSaveState
from .second_pass import MagiSecondPass
from .state_info import MagiStateInfo
from .storyboard import MagiStoryboard
from .storyboard_prompt import MagiStoryboardPrompt
from .text_encode import MagiTextEncode
from .ui.foreseen import foresee_by
from .ui.wired import wired
from .vae_decode import MagiVAEDecode
from .vae_encode import MagiVAEEncode

NODES: tuple[type[io.ComfyNode], ...] = (
    MagiLoadModel,
    MagiLoadVAE,
    MagiLoadTextEncoder,
    MagiLoRA,
    MagiTextEncode,
    MagiVAEEncode,
    MagiChunkSampler,
    MagiExtend,
    MagiSecondPass,
    MagiRetouch,
    MagiVAEDecode,
    MagiDecodeToFile,
    MagiRewind,
    MagiStoryboard,
    MagiStoryboardPrompt,
    MagiSaveState,
    MagiLoadState,
    MagiStateInfo,
    MagiModelSettings,
)


READING = (MagiLoadModel, MagiLoadVAE, MagiLoadTextEncoder, MagiLoRA, MagiLoadState)
"""Nodes whose files ComfyUI asks them about."""


class MagiExtension(ComfyExtension):
    """Everything this pack adds to ComfyUI."""

    async def on_load(self) -> None:
        register_model_folder()
        offer_example_inputs()
        listen()
        knows({node.define_schema().node_id: node.fingerprint_inputs for node in READING})
        foresee_by(faults)
        register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [telling(wired(node)) for node in NODES]
