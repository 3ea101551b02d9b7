"""What a MAGI-1 video autoencoder looks like, read from the `config.json` beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from magi_core.errors import MagiError, echo

# Largest sizes that are believed; a file may claim any.
MOST = {"z_chans": 1 << 10, "embed_dim": 1 << 15, "depth": 256, "num_heads": 1 << 10, "patch_size": 64}
MOST |= {"patch_length": 64, "in_chans": 64, "video_size": 1 << 13, "video_length": 1 << 10}
REQUIRED = ("z_chans", "embed_dim", "depth", "num_heads")
DIFFUSERS_CLASS = "AutoencoderKLMagi"
DIFFUSERS = {
    "in_channels": "in_chans",
    "latent_channels": "z_chans",
    "num_layers": "depth",
    "num_attention_heads": "num_heads",
    "sample_size": "video_size",
    "sample_frames": "video_length",
}


@dataclass(frozen=True)
class VAEConfig:
    """Architecture of a ViT autoencoder. Field names and defaults are those of the official `ddconfig`.

    video_size, video_length: the size the learned positions were made for; others interpolate them.
    ln_in_attn: standardise queries, keys and values per head, instead of normalising the block's input.
    use_final_proj: widen tokens to four channels per pixel before unpacking (for a small `embed_dim`).
    norm_code: scale the encoder's output to unit length over channels.
    """

    z_chans: int
    embed_dim: int
    depth: int
    num_heads: int
    video_size: int = 256
    video_length: int = 16
    patch_size: int = 8
    patch_length: int = 4
    in_chans: int = 3
    mlp_ratio: float = 4.0
    qkv_bias: bool = False
    with_cls_token: bool = True
    norm_code: bool = False
    ln_in_attn: bool = False
    use_final_proj: bool = False
    double_z: bool = True
    conv_last_layer: bool = True
    use_rope: bool = False

    def __post_init__(self) -> None:
        for name, most in MOST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise MagiError(
                    f"VAE config: {name} must be a whole number of at least 1, and at most {most:,}: {echo(value)}"
                )
        if not isinstance(self.mlp_ratio, int | float) or not 1 / 64 <= self.mlp_ratio <= 64:
            raise MagiError(f"VAE config: mlp_ratio must be a number such as 4: {echo(self.mlp_ratio)}")
        if self.embed_dim % self.num_heads:
            raise MagiError(f"VAE config: width {self.embed_dim} cannot be shared by {self.num_heads} heads")
        if self.video_size % self.patch_size or self.video_length % self.patch_length:
            raise MagiError(
                f"VAE config: {self.video_length} frames of {self.video_size} px cannot be cut into patches "
                f"of {self.patch_length} frames and {self.patch_size} px"
            )
        if self.unpatch_channels < 1 or self.unpatch_channels * self.patch_volume != self.unpatch_width:
            raise MagiError(
                f"VAE config: width {self.embed_dim} does not unpack into patches of {self.patch_volume} "
                "pixels; use a multiple of that, or set use_final_proj to true"
            )
        if self.use_rope or not self.conv_last_layer or not self.double_z:
            raise MagiError("VAE config: use_rope must be false, conv_last_layer and double_z true")

    @property
    def grid(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns of the learned position table."""
        side = self.video_size // self.patch_size
        return self.video_length // self.patch_length, side, side

    @property
    def patch_volume(self) -> int:
        """Pixels in one patch: frames x rows x columns."""
        return self.patch_length * self.patch_size * self.patch_size

    @property
    def unpatch_channels(self) -> int:
        """Channels per pixel that enter the decoder's last convolution."""
        return 4 if self.use_final_proj else self.embed_dim // self.patch_volume

    @property
    def unpatch_width(self) -> int:
        """Width of a decoder token when it is unpacked into its patch."""
        return 4 * self.patch_volume if self.use_final_proj else self.embed_dim

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> VAEConfig:
        """From a parsed `config.json`: the whole file (with a `ddconfig` entry), the ddconfig itself, or the file that
        diffusers writes for its `AutoencoderKLMagi`.

        Unknown keys (dropout rates and the like) are ignored; a missing one raises `MagiError`.
        """
        kind = config.get("model_type", "vit")
        if kind != "vit":
            raise MagiError(f"VAE config: model_type {echo(kind)} is not supported, only 'vit'")
        values = config.get("ddconfig", config)
        if config.get("_class_name") == DIFFUSERS_CLASS:  # whose attention is always of this kind
            values = {DIFFUSERS.get(name, name): value for name, value in config.items()}
            values |= {"qkv_bias": True, "ln_in_attn": True}
        if not isinstance(values, Mapping):
            raise MagiError(f"VAE config: ddconfig must hold names and values: {echo(values)}")
        missing = [name for name in REQUIRED if name not in values]
        if missing:
            raise MagiError(f"VAE config: {', '.join(missing)} missing; is this a MAGI-1 VAE?")
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
