"""`Magi Load VAE`: the autoencoder that turns frames into latents and back."""

from __future__ import annotations

from comfy_api.latest import io

from magi_core.digest import digest
from magi_core.vae import load_vae
from magi_core.weights import fingerprint

from .host.device import vae_devices
from .host.layers import COMFYUI
from .host.model_folder import model_input, part_of, size_of
from .host.patcher import weights_that_move
from .host.vae import PlacedVAE
from .ui.checks import Checked
from .wires import CATEGORY


def _check_model(model: str) -> None:
    part_of(model, "VAE")


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
                model_input(
                    "The model whose VAE to load, the same one as in Magi Load Model; or a MAGI VAE in models/vae.",
                    "VAE",
                ),
                io.Combo.Input(
                    "dtype",
                    options=["auto", "bf16", "fp32"],
                    default="auto",
                    advanced=True,
                    tooltip="Number format. 'auto' is bf16 on a GPU and fp32 on the CPU.",
                ),
            ],
            outputs=[
                io.Vae.Output(
                    display_name="vae", tooltip="For Magi VAE Encode, Magi VAE Decode and ComfyUI's own VAE nodes."
                )
            ],
        )

    validate_inputs = classmethod(Checked("MagiLoadVAE", {"model": _check_model}))

    @classmethod
    def fingerprint_inputs(cls, model: str, dtype: str) -> str:
        return fingerprint(part_of(model, "VAE"))

    @classmethod
    @weights_that_move()
    def execute(cls, model: str, dtype: str) -> io.NodeOutput:
        devices, files = vae_devices(), part_of(model, "VAE")
        codec = load_vae(files, device=devices.offload, compute=devices.load, dtype=dtype, operations=COMFYUI)
        identity = digest(codec.identity, codec.dtype)
        return io.NodeOutput(PlacedVAE(codec, devices, size_of(model), identity))
