"""`Magi Load VAE`: the autoencoder that turns frames into latents and back."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.vae import load_vae
from magi_core.weights import fingerprint

from .device import vae_device
from .model_folder import model_input, part_of
from .wires import CATEGORY, VAE


class MagiLoadVAE(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MagiLoadVAE",
            display_name="Magi Load VAE",
            category=CATEGORY,
            description="Loads the VAE that belongs to a MAGI model. All official MAGI-1 models share one VAE.",
            search_aliases=["magi vae", "load magi vae", "video vae loader", "autoencoder"],
            inputs=[
                model_input("The model whose VAE to load. Choose the same one as in Magi Load Model."),
                io.Combo.Input(
                    "dtype",
                    options=["auto", "bf16", "fp32"],
                    default="auto",
                    advanced=True,
                    tooltip="Number format. 'auto' is bf16 on a GPU and fp32 on the CPU.",
                ),
            ],
            outputs=[VAE.Output(display_name="vae", tooltip="For Magi VAE Encode and Magi VAE Decode.")],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str, dtype: str) -> str:
        return fingerprint(part_of(model, "VAE"))

    @classmethod
    def execute(cls, model: str, dtype: str) -> io.NodeOutput:
        return io.NodeOutput(load_vae(part_of(model, "VAE"), device=vae_device(), dtype=dtype))
