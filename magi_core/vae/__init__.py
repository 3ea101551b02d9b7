"""ViT video autoencoder: pixels to latents and back, tiled and streamed."""

from magi_core.vae.codec import VAE
from magi_core.vae.config import VAEConfig
from magi_core.vae.load import load_vae, vae_identity
from magi_core.vae.model import ViTVAE
from magi_core.vae.tiling import TileSettings

__all__ = ["VAE", "TileSettings", "VAEConfig", "ViTVAE", "load_vae", "vae_identity"]
