"""The MAGI nodes for ComfyUI.

Load Model, Load VAE, Load Text Encoder, Text Encode, VAE Encode, Chunk Sampler, Extend (KV cache), VAE Decode. They are
thin: widgets, tooltips, progress and the choice of device. What they do is in `magi_core`.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .chunk_sampler import MagiChunkSampler
from .example_inputs import offer_example_inputs
from .extend import MagiExtend
from .load_model import MagiLoadModel
from .load_text_encoder import MagiLoadTextEncoder
from .load_vae import MagiLoadVAE
from .model_folder import register_model_folder
from .text_encode import MagiTextEncode
from .vae_decode import MagiVAEDecode
from .vae_encode import MagiVAEEncode


class MagiExtension(ComfyExtension):
    """Everything this pack adds to ComfyUI."""

    async def on_load(self) -> None:
        register_model_folder()
        offer_example_inputs()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            MagiLoadModel,
            MagiLoadVAE,
            MagiLoadTextEncoder,
            MagiTextEncode,
            MagiVAEEncode,
            MagiChunkSampler,
            MagiExtend,
            MagiVAEDecode,
        ]
