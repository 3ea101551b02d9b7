"""The autoencoder as the engine uses it: frames in, latents out, frames streamed back, whatever the size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from magi_core.errors import MagiError
from magi_core.vae import VAE, TileSettings, VAEConfig, ViTVAE, load_vae, whole_groups
from magi_core.vae.codec import to_frames, to_signed
from magi_core.vae.tiling import blend, decode_axes, smaller

PATCH = 4
DDCONFIG = {
    "z_chans": 3, "embed_dim": 32, "depth": 1, "num_heads": 2, "video_size": 16, "video_length": 12,
    "patch_size": PATCH, "patch_length": 4, "mlp_ratio": 2, "qkv_bias": True, "ln_in_attn": True,
    "conv_last_layer": True, "use_final_proj": True, "drop_rate": 0.0,
}  # fmt: skip
CONFIG = VAEConfig.from_json(DDCONFIG)
SMALL_TILES = TileSettings(height=16, width=16)  # stride 12: sizes above 12 take several tiles


def model(**changes: object) -> ViTVAE:
    torch.manual_seed(0)
    return ViTVAE(VAEConfig.from_json(DDCONFIG | changes))


def codec(tile: TileSettings = SMALL_TILES, **options: object) -> VAE:
    return VAE(model().requires_grad_(False), tile=tile, **options)


def latents(count: int, height: int = 5, width: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(1, 3, count, height, width, generator=torch.Generator().manual_seed(seed))


def decoded(vae: VAE, z: Tensor, *args: int, **options: int) -> Tensor:
    return torch.cat(list(vae.decode(z, *args, **options)))


# --- frames and latents


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8])
def test_every_latent_frame_decodes_to_four_frames(count: int) -> None:
    blocks = list(codec().decode(latents(count)))
    assert all(block.dtype == torch.uint8 and block.device.type == "cpu" for block in blocks)
    assert torch.cat(blocks).shape == (4 * count, 20, 24, 3)


@pytest.mark.parametrize("size", [(4, 4), (8, 16), (16, 8), (20, 24), (12, 36)])
def test_any_multiple_of_the_patch_works(size: tuple[int, int]) -> None:
    frames = torch.randint(0, 256, (12, *size, 3), dtype=torch.uint8)
    z = codec().encode(frames)
    assert z.shape == (1, 3, 3, size[0] // PATCH, size[1] // PATCH) and z.dtype == torch.float32
    assert decoded(codec(), z).shape == frames.shape


def test_the_flag_brings_back_the_references_lost_frames() -> None:
    assert torch.cat(list(codec().decode(latents(4), reference_quirks=True))).shape[0] == 13
    assert model().decode(latents(1), reference_quirks=True).shape[2] == 1


def test_encode_scales_what_decode_unscales() -> None:
    vae, frames = codec(TileSettings()), torch.rand(4, 16, 16, 3)
    expected = vae.model.encode(frames.permute(3, 0, 1, 2)[None] * 2 - 1) * 0.18215
    z = vae.encode(frames)
    assert torch.allclose(z, expected, atol=1e-6)
    assert torch.equal(decoded(vae, z), to_frames(vae.model.decode(z / 0.18215)))


def test_uint8_and_float_frames_mean_the_same() -> None:
    frames = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8)
    assert torch.allclose(codec().encode(frames), codec().encode(frames.float() / 255), atol=1e-6)


def test_pixels_survive_the_range_change_exactly() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(-1, -1, -1, 3)
    assert torch.equal(to_frames(to_signed(levels).permute(3, 0, 1, 2)[None]), levels)


def test_levels_are_rounded_to_the_nearest_and_clamped() -> None:
    video = (torch.tensor([100.4, 100.6, -3.0, 300.0]) / 127.5 - 1).view(1, 1, 4, 1, 1).expand(1, 3, 4, 1, 1)
    assert to_frames(video)[:, 0, 0, 0].tolist() == [100, 101, 0, 255]


def test_an_image_is_one_latent_frame_as_if_it_stood_still() -> None:
    image = torch.rand(1, 16, 16, 3)
    assert torch.equal(codec().encode(image), codec().encode(image.expand(4, -1, -1, -1)))


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 4), (4, 4), (5, 8), (31, 32)])
def test_incomplete_groups_repeat_the_first_frame_and_keep_every_one(count: int, expected: int) -> None:
    frames = torch.arange(count).view(-1, 1, 1, 1)
    groups = whole_groups(frames).flatten().tolist()
    assert groups == [0] * (expected - count) + list(range(count))


# --- streaming


def test_blocks_do_not_depend_on_what_follows() -> None:
    z = latents(9)
    longer = list(codec().decode(z))
    shorter = list(codec().decode(z[:, :, :6]))
    assert all(torch.equal(a, b) for a, b in zip(shorter, longer, strict=False))


@pytest.mark.parametrize("overlap", [0.0, 1 / 3])
@pytest.mark.parametrize(("start", "stop"), [(0, 8), (3, 8), (4, 7), (5, 6), (7, 8), (2, 2)])
def test_a_part_decodes_as_it_does_in_the_whole(overlap: float, start: int, stop: int) -> None:
    vae, z = codec(TileSettings(16, 16, 12, 0.25, overlap)), latents(8)
    whole = decoded(vae, z)
    part = [*vae.decode(z, start=start, stop=stop), whole[:0]]
    assert torch.equal(torch.cat(part), whole[4 * start : 4 * stop])


@pytest.mark.parametrize("first", [3, 6])
def test_a_part_that_begins_with_a_tile_needs_nothing_before_it(first: int) -> None:
    z = latents(8)
    assert torch.equal(decoded(codec(), z[:, :, first:], first), decoded(codec(), z)[4 * first :])


@pytest.mark.parametrize("first", [1, 2, 4])
def test_tiles_stay_on_the_absolute_grid(first: int) -> None:
    """Given a part that begins inside a tile, everything after that tile is as in the whole."""
    z, boundary = latents(8), -(-first // 3) * 3
    part = decoded(codec(), z[:, :, first:], first)
    assert part.shape[0] == 4 * (8 - first)
    assert torch.equal(part[4 * (boundary - first) :], decoded(codec(), z)[4 * boundary :])


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_a_part_has_all_its_frames_where_tiles_overlap_in_time(first: int) -> None:
    vae, z = codec(TileSettings(16, 16, 12, 0.25, 1 / 3)), latents(9)
    part = decoded(vae, z[:, :, first:], first)
    assert part.shape[0] == 4 * (9 - first)
    assert torch.equal(part[-12:], decoded(vae, z)[-12:])


def test_only_the_first_tile_is_decoded_before_the_first_block() -> None:
    vae, seen = codec(), []
    plain = vae.model.decode
    vae.model.decode = lambda z, quirks: seen.append(z.shape[2]) or plain(z, quirks)
    next(vae.decode(latents(300, 2, 2)))
    assert seen == [3]


def test_streaming_does_not_switch_gradients_off_for_the_reader() -> None:
    for _ in codec().decode(latents(6)):
        assert torch.is_grad_enabled()


# --- tiles


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.sampled_from([0.0, 0.25, 0.5]))
def test_tiles_of_a_pointwise_model_give_back_the_picture(h: int, w: int, t: int, overlap: float) -> None:
    """Where coding a tile does not depend on its surroundings, blending must change nothing."""
    vae = codec(TileSettings(16, 16, 8, overlap, 0.5 if overlap else 0.0))
    fake = {"config": CONFIG, "parameters": vae.model.parameters, "device": vae.device}
    vae.model = SimpleNamespace(**fake, encode=pool, decode=spread)
    z = latents(t, h, w)
    assert torch.allclose(vae.tiled_decode(z), spread(z), atol=1e-6)
    assert torch.allclose(vae.tiled_encode(spread(z)), z, atol=1e-5)


def pool(video: Tensor) -> Tensor:
    return nn.functional.avg_pool3d(video, (4, PATCH, PATCH))


def spread(z: Tensor, quirks: bool = False) -> Tensor:
    return z.repeat_interleave(4, 2).repeat_interleave(PATCH, 3).repeat_interleave(PATCH, 4)


def test_blend_fades_linearly_and_leaves_its_inputs_alone() -> None:
    before, tile = torch.zeros(1, 1, 1, 1, 8), torch.ones(1, 1, 1, 1, 8)
    assert blend(before, tile, 4, 4).flatten().tolist() == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1]
    assert before.sum() == 0 and tile.sum() == 8


def test_default_tiles_are_the_references() -> None:
    time, height, _ = decode_axes(TileSettings(), VAEConfig(16, 1024, 24, 16))
    assert (time.tile, time.stride, height.tile, height.stride, height.blend) == (3, 3, 32, 24, 64)


@pytest.mark.parametrize("tile", [TileSettings(18, 16), TileSettings(16, 16, 10), TileSettings(20, 16)])
def test_tiles_between_latents_are_refused_with_a_size_that_works(tile: TileSettings) -> None:
    with pytest.raises(MagiError, match=r"multiples of 4: \d+ -> use (16|12|8)"):
        codec(tile).decode(latents(1))


# --- memory


def short_of_memory(vae: VAE, largest: int) -> None:
    """From now on a tile with a side above `largest` pixels does not fit."""

    def limited(plain: Callable[..., Tensor], scale: int) -> Callable[..., Tensor]:
        def code(x: Tensor, *rest: bool) -> Tensor:
            if max(x.shape[3:]) * scale > largest:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return plain(x, *rest)

        return code

    vae.model.encode, vae.model.decode = limited(vae.model.encode, 1), limited(vae.model.decode, PATCH)


def test_out_of_memory_goes_on_in_smaller_tiles_and_says_so() -> None:
    notes: list[str] = []
    vae, z = codec(TileSettings(64, 64), on_note=notes.append), latents(6, 12, 12)
    stream = vae.decode(z)
    blocks = [next(stream)]  # the first tile still fits
    short_of_memory(vae, 20)
    blocks += stream
    assert torch.cat(blocks).shape == (24, 48, 48, 3)
    assert notes == ["out of memory: the VAE goes on in tiles of 16 x 16 pixels"]
    assert torch.equal(blocks[1], decoded(codec(TileSettings(16, 16)), z)[12:])
    assert vae.encode(torch.cat(blocks)).shape == z.shape


def test_no_memory_at_all_is_one_clear_error() -> None:
    vae = codec()
    short_of_memory(vae, 0)
    with pytest.raises(MagiError, match="not enough memory on cpu"):
        decoded(vae, latents(1))
    with pytest.raises(MagiError, match="not enough memory on cpu"):
        vae.encode(torch.rand(1, 16, 16, 3))


def test_other_errors_are_not_mistaken_for_lack_of_memory() -> None:
    vae = codec()
    vae.model.decode = lambda *_: (_ for _ in ()).throw(RuntimeError("kernel failed"))
    with pytest.raises(RuntimeError, match="kernel failed"):
        decoded(vae, latents(1))


def test_tiles_shrink_from_the_size_of_the_picture() -> None:
    official = VAEConfig(16, 1024, 24, 16)
    sizes, tile = [], TileSettings()
    while tile := smaller(tile, official, 720, 720):
        sizes.append((tile.height, tile.width))
    assert sizes == [(128, 128), (64, 64), (32, 32)]
    assert smaller(TileSettings(), official, 128, 128) == TileSettings(64, 64)


# --- the module


def test_the_module_trains_end_to_end() -> None:
    vae = model()
    vae.decode(vae.encode(torch.rand(2, 3, 12, 16, 16))).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in vae.parameters())


def test_autocast_keeps_the_residual_stream_in_float32() -> None:
    vae, seen = model(), []
    vae.decoder.blocks[0].register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        vae.decode(vae.encode(torch.rand(1, 3, 4, 16, 16)).float())
    assert seen == [torch.float32]


def test_layers_and_attention_are_injected() -> None:
    calls = []

    class Linear(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            calls.append("linear")
            return super().forward(x)

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        calls.append(f"attention{list(q.shape)}")
        return nn.functional.scaled_dot_product_attention(q, k, v)

    ops = SimpleNamespace(Linear=Linear, LayerNorm=nn.LayerNorm, Conv3d=nn.Conv3d)
    ViTVAE(CONFIG, operations=ops, attention=attention).encode(torch.rand(1, 3, 4, 16, 16))
    assert calls == ["linear", "attention[1, 2, 17, 16]", "linear", "linear", "linear", "linear"]


def test_without_a_class_token_positions_still_resize() -> None:
    vae = model(with_cls_token=False)
    assert "encoder.cls_token" not in vae.state_dict()
    assert vae.decode(vae.encode(torch.rand(1, 3, 8, 12, 20))).shape == (1, 3, 8, 12, 20)


# --- what can go wrong


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z_chans": None}, "z_chans missing"),
        ({"use_rope": True}, "use_rope must be false"),
        ({"num_heads": 5}, "width 32 cannot be shared by 5 heads"),
        ({"use_final_proj": False}, "does not unpack"),
        ({"video_length": 10}, "cannot be cut into patches"),
        ({"embed_dim": "wide"}, "embed_dim must be a whole number"),
        ({"depth": 0}, "depth must be a whole number"),
    ],
)
def test_bad_configs_say_what_is_wrong(changes: dict[str, object], message: str) -> None:
    values = {name: value for name, value in (DDCONFIG | changes).items() if value is not None}
    with pytest.raises(MagiError, match=message):
        VAEConfig.from_json({"_class_name": "ViTVAE", "ddconfig": values})


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(4, 18, 16, 3), "height must be a multiple of 4 for the VAE: 18 -> use 16 or 20"),
        (torch.zeros(4, 16, 3, 3), "width must be a multiple of 4 for the VAE: 3 -> use 4"),
        (torch.zeros(0, 16, 16, 3), "shape"),
        (torch.zeros(16, 16, 3), "shape"),
        (torch.zeros(4, 16, 16, 3, dtype=torch.int64), "uint8, or float"),
    ],
)
def test_bad_frames_are_refused(frames: Tensor, message: str) -> None:
    with pytest.raises(MagiError, match=message):
        codec().encode(frames)


def test_bad_latents_are_refused_at_the_call() -> None:
    with pytest.raises(MagiError, match="latents of 3 channels, but the model needs 16"):
        codec().decode(torch.zeros(1, 16, 1, 4, 4))
    with pytest.raises(MagiError, match="not among those given: 6 to 8"):
        codec().decode(latents(2), 6, start=5)


# --- loading


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "ViTVAE", "ddconfig": DDCONFIG}))
    save_file(model().bfloat16().state_dict(), tmp_path / "diffusion_pytorch_model.safetensors")
    return tmp_path


def test_loads_a_folder_or_a_file(folder: Path) -> None:
    vae = load_vae(folder, device="cpu", dtype=torch.float32)
    assert (vae.z_channels, vae.device.type, vae.dtype) == (3, "cpu", torch.float32)
    weights = load_vae(folder / "diffusion_pytorch_model.safetensors", device="cpu", dtype=torch.float32)
    z = latents(2)
    assert torch.equal(decoded(vae, z), decoded(weights, z))
    assert torch.equal(vae.model.decoder.proj_in.weight, model().bfloat16().float().decoder.proj_in.weight)


def test_bfloat16_weights_code_in_bfloat16(folder: Path) -> None:
    vae = load_vae(folder, device="cpu", dtype=torch.bfloat16)
    z = vae.encode(torch.rand(8, 16, 16, 3))
    assert vae.dtype == torch.bfloat16 and z.dtype == torch.float32
    assert decoded(vae, z).shape == (8, 16, 16, 3)


def test_a_broken_folder_says_what_is_missing(folder: Path) -> None:
    state = model().state_dict()
    state.pop("encoder.norm.bias")
    save_file(state | {"extra": torch.zeros(1)}, folder / "diffusion_pytorch_model.safetensors")
    with pytest.raises(MagiError, match=r"(?s)encoder\.norm\.bias.*extra"):
        load_vae(folder, device="cpu")
    (folder / "config.json").write_text("[]")
    with pytest.raises(MagiError, match="does not describe a VAE"):
        load_vae(folder, device="cpu")
    (folder / "config.json").unlink()
    with pytest.raises(MagiError, match="config.json is missing"):
        load_vae(folder, device="cpu")
    with pytest.raises(MagiError, match="does not exist"):
        load_vae(folder / "nowhere", device="cpu")
