"""Train nano's video autoencoder on drawn clips and export it with unit-variance latents.

    python -m tools.nano.train_vae --minutes 5 --out DIR                                    # one GPU
    python -m tools.nano.train_vae --minutes 2 --out DIR --init VAE --decoder-only          # latents stay as they are
    python -m tools.nano.train_vae --minutes 2 --out DIR --init VAE --anchor 0.05           # latents stay near
    python -m tools.nano.train_vae --minutes 2 --out DIR --init VAE --decoder-only --depth 6    # two more blocks
    torchrun --nproc-per-node 4 -m tools.nano.train_vae ...                                 # several GPUs
    python -m tools.nano.train_vae --dry-run --out DIR                                      # CPU, every code path

Writes DIR/vae.safetensors (bfloat16), DIR/vae_config.json, DIR/vae_log.jsonl and DIR/vae_report.json.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from magi_core.config import LATENT_SCALE
from magi_core.vae.config import VAEConfig
from magi_core.vae.model import ViTVAE
from tools.nano import convolutions
from tools.nano.analyser import latent_motion_ratio, measure
from tools.nano.compilation import Compiled, first_that_works
from tools.nano.master import Master
from tools.nano.processes import agree, join, leave, rank
from tools.nano.recipe import LATENT_STD, TINY_VAE, VAE_CONFIG
from tools.nano.render import BACKGROUND_TURN, COLOUR_TURN, Sheet, draw, make_sheet, to_uint8
from tools.nano.scenery import weather_covers
from tools.nano.scenes import RECOLOUR, REPAINT, WEATHER, sample_scenes
from tools.nano.schedule import Clock, learning_rate
from tools.nano.vocabulary import CHUNK_FRAMES, FRAMES

NATIVE_FRAMES = 12
MOTION_WEIGHT, DIFFERENCE_WEIGHT, GRADIENT_WEIGHT, SQUARE_WEIGHT, KL_WEIGHT = 10.0, 2.0, 0.5, 2.0, 1e-5
SHORT_EVERY = 8  # every so many steps, clips of 4 or 8 frames: images and odd prefixes are encoded like that


def reconstruction_loss(seen: Tensor, video: Tensor) -> Tensor:
    """L1 and squared error weighted by motion inside each latent frame, frame differences, spatial gradients.

    Without the motion terms the decoder learns four equal frames per latent frame at a good PSNR.
    """
    groups = video.unflatten(2, (-1, 4))
    weight = 1 + MOTION_WEIGHT * (groups - groups.mean(3, keepdim=True)).abs().flatten(2, 3)
    error = seen - video
    loss = (weight * (error.abs() + SQUARE_WEIGHT * error.square())).mean()
    for stride in (1, 2, 3):
        loss = loss + DIFFERENCE_WEIGHT / 3 * (error[:, :, stride:] - error[:, :, :-stride]).abs().mean()
    for axis in (-1, -2):
        loss = loss + GRADIENT_WEIGHT / 2 * error.diff(dim=axis).abs().mean()
    return loss


class AutoencoderLoss(nn.Module):
    """`anchor`: how much it costs to move latents away from those of the weights to start from, in their variances."""

    def __init__(self, vae: ViTVAE, anchor: float = 0.0) -> None:
        super().__init__()
        self.vae, self.anchor = vae, anchor
        self.before = copy.deepcopy(vae).requires_grad_(False) if anchor else None

    def forward(self, video: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Training loss and plain mean squared error of `video` [B, 3, T, H, W]; `noise` like the latent
        means."""
        with torch.autocast(video.device.type, torch.bfloat16, enabled=video.is_cuda):
            mean, logvar = self.vae.encode_moments(video).chunk(2, dim=1)
            mean, logvar = mean.float(), logvar.float().clamp(-20, 10)
            seen = self.vae.decode(mean + noise * (0.5 * logvar).exp())
            was = mean if self.before is None else self.before.encode(video).float()
        seen = seen.float()
        moved = (mean - was).square().mean() / LATENT_STD**2
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        return reconstruction_loss(seen, video) + KL_WEIGHT * kl + self.anchor * moved, F.mse_loss(seen, video).detach()


def initialise(vae: ViTVAE) -> None:
    """Small normal weights; the last convolution starts as the mean of what it sees, so that images appear
    early."""
    for module in vae.modules():
        if isinstance(module, nn.Linear | nn.Conv3d):
            nn.init.trunc_normal_(module.weight, std=min(0.05, module.weight[0].numel() ** -0.5))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def load_grown(vae: ViTVAE, weights: Mapping[str, Tensor]) -> None:
    """Weights of an autoencoder that may have fewer blocks on each side; new ones add nothing at first."""
    grown = []
    for name, trunk in (("encoder", vae.encoder), ("decoder", vae.decoder)):
        for i, block in enumerate(trunk.blocks):
            if f"{name}.blocks.{i}.mlp.fc1.weight" not in weights:
                grown.append(f"{name}.blocks.{i}.")
                for layer in (block.attn.proj, block.mlp.fc2):
                    layer.weight.zero_()
                    layer.bias.zero_()
    fresh = {key: value for key, value in vae.state_dict().items() if key.startswith(tuple(grown))}
    vae.load_state_dict({key: value.float() for key, value in weights.items()} | fresh)


class Clips:
    """Random windows of drawn clips, rendered on the device. A share `changing` of them are where a colour, the
    background or the weather changes, which happens seldom and is hard."""

    def __init__(
        self,
        count: int,
        seed: int,
        device: torch.device,
        *,
        plain: bool = False,
        compiled: bool = False,
        changing: float = 0.0,
    ):
        self.scenes, self.changing = sample_scenes(count, seed, plain=plain), changing
        changes = np.argwhere(np.isin(self.scenes.event, (RECOLOUR, REPAINT, WEATHER)))
        self.changes = torch.from_numpy(changes).to(device)
        self.sheet: Sheet = make_sheet(self.scenes, device)
        self.falling = weather_covers(device)
        self.draw = Compiled(draw, "drawing", compiled)
        self.generator = torch.Generator(device).manual_seed(seed)

    def batch(self, size: int, frames: int, *, still: bool = False) -> Tensor:
        """[size, 3, frames, 128, 128] in [-1, 1]; `still` repeats the first frame."""
        device = self.generator.device
        clip = torch.randint(len(self.sheet), (size,), device=device, generator=self.generator)
        start = torch.randint(FRAMES - frames + 1, (size, 1), device=device, generator=self.generator)
        if self.changing and len(self.changes):
            pick = torch.randint(len(self.changes), (size,), device=device, generator=self.generator)
            late = torch.randint(4, (size,), device=device, generator=self.generator)
            chosen = torch.rand(size, device=device, generator=self.generator) < self.changing
            clip = torch.where(chosen, self.changes[pick, 0], clip)
            start = torch.where(chosen[:, None], (CHUNK_FRAMES * self.changes[pick, 1] + late)[:, None], start)
        offset = (
            torch.zeros(1, frames, dtype=torch.long, device=device) if still else torch.arange(frames, device=device)
        )
        drawing = self.draw if frames == NATIVE_FRAMES else draw  # one shape is compiled, the rare others are not
        return drawing(self.sheet, self.falling, clip, start + offset)


def train(args: argparse.Namespace, device: torch.device, out: Path) -> ViTVAE:
    clock = Clock(args.minutes - args.reserve, args.steps)
    config = VAEConfig.from_json(
        (TINY_VAE if args.dry_run else VAE_CONFIG) | ({"depth": args.depth} if args.depth else {})
    )
    if device.type == "cuda" and not args.dry_run:
        pixels = (args.batch, config.unpatch_channels, NATIVE_FRAMES, 128, 128)
        convolutions.Conv3d.form = args.conv or convolutions.fastest_form(pixels, device, torch.bfloat16)
    torch.manual_seed(args.seed)
    vae = ViTVAE(config, operations=convolutions.LAYERS, device=device, dtype=torch.float32)
    initialise(vae)
    if args.init:
        load_grown(vae, load_file(args.init))
    vae.encoder.requires_grad_(not args.decoder_only)
    master = Master(trained(vae), decay=0.01, betas=(0.9, 0.98), ema=0.9985, clip=1.0)
    loss_of = AutoencoderLoss(vae, args.anchor)
    clips = Clips(args.clips, args.seed + 17 * rank(), device, compiled=args.compile, changing=0.35)
    held_out = Clips(64, args.seed + 1000, device)
    generator = torch.Generator(device).manual_seed(args.seed + 1 + 101 * rank())
    log = (out / "vae_log.jsonl").open("a")

    def trial(run: Callable) -> None:
        run(
            clips.batch(args.batch, NATIVE_FRAMES),
            torch.zeros(args.batch, config.z_chans, 3, 16, 16, device=device),
        )[0].backward()
        vae.zero_grad()

    compiled = [("autoencoder, compiled", torch.compile(loss_of, dynamic=False))] if args.compile else []
    name, fast = first_that_works([*compiled, ("autoencoder, eager", loss_of)], trial)
    print(f"{name}, ready after {clock.elapsed:.0f} s", flush=True)

    def step(frames: int, still: bool, run: Callable) -> tuple[Tensor, Tensor, Tensor]:
        video = clips.batch(args.batch, frames, still=still)
        shape = (args.batch, config.z_chans, frames // 4, 16, 16)
        noise = torch.randn(shape, device=device, generator=generator)
        loss, error = run(video, noise)
        loss.backward()
        rate = learning_rate(args.lr, clock.step, clock.progress, warmup=200, decay_from=0.3, floor=0.02)
        return loss.detach(), error, master.step(rate)

    saved, done = 0.0, False
    while not done:
        short = clock.step % SHORT_EVERY == SHORT_EVERY - 1
        if short:
            step(4 if clock.step % (2 * SHORT_EVERY) < SHORT_EVERY else 8, clock.step % 32 < 16, loss_of)
        else:
            loss, error, norm = step(NATIVE_FRAMES, False, fast)
        clock.step += 1
        if clock.step % 10 == 0 or clock.limit:
            done = agree(clock.done, device)
        if rank() == 0 and clock.step % args.log_every == 1 and not short:
            line = {
                "step": clock.step,
                "seconds": round(clock.elapsed, 1),
                "loss": round(float(loss), 5),
                "psnr": round(float(-10 * torch.log10(error / 4)), 2),
                "gradient": round(float(norm), 4),
            }
            if clock.elapsed - saved > args.save_seconds:
                saved = clock.elapsed
                master.load_averaged()
                line |= evaluate(vae, held_out, 24)
                save(vae, config, out, name="vae_raw")
                master.restore()
            print(json.dumps(line), flush=True)
            log.write(json.dumps(line) + "\n")
            log.flush()
    master.load_averaged()
    print(f"{clock.step} steps in {clock.elapsed:.0f} s", flush=True)
    return vae


def trained(vae: ViTVAE) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in vae.named_parameters() if parameter.requires_grad]


def save(vae: ViTVAE, config: VAEConfig, out: Path, name: str = "vae") -> None:
    """Weights in bfloat16, written beside and moved into place."""
    weights = {key: value.detach().to("cpu", torch.bfloat16).contiguous() for key, value in vae.state_dict().items()}
    save_file(weights, out / f"{name}.part")
    os.replace(out / f"{name}.part", out / f"{name}.safetensors")
    ddconfig = {key: getattr(config, key) for key in VAE_CONFIG}
    official = {"_class_name": "ViTVAE", "model_type": "vit", "ddconfig": ddconfig}
    (out / "vae_config.json").write_text(json.dumps(official, indent=1) + "\n")


@torch.no_grad()
def normalise_latents(vae: ViTVAE, clips: Clips, batches: int) -> dict[str, list[float]]:
    """Fold a per-channel shift and scale into encoder and decoder, so that latents times the fixed factor
    have mean 0 and deviation 1. The autoencoder computes the same as before."""
    latents = torch.cat([encode(vae, clips.batch(32, NATIVE_FRAMES)) for _ in range(batches)])
    mean, std = latents.mean((0, 2, 3, 4)).double(), latents.std((0, 2, 3, 4)).double()
    gain = LATENT_STD / std
    z = len(mean)
    last, first = vae.encoder.last_layer, vae.decoder.proj_in
    weight, bias = last.weight.double(), last.bias.double()
    weight[:z] *= gain[:, None]
    bias[:z] = (bias[:z] - mean) * gain
    bias[z:] += 2 * gain.log()
    enter, enter_bias = first.weight.double(), first.bias.double()
    enter_bias = enter_bias + enter @ mean
    enter = enter / gain
    for parameter, value in (
        (last.weight, weight),
        (last.bias, bias),
        (first.weight, enter),
        (first.bias, enter_bias),
    ):
        parameter.copy_(value.to(parameter.dtype))
    return {"latent_mean": mean.tolist(), "latent_std": std.tolist()}


@torch.no_grad()
def encode(vae: ViTVAE, video: Tensor) -> Tensor:
    with torch.autocast(video.device.type, torch.bfloat16, enabled=video.is_cuda):
        return vae.encode(video).float()


@torch.no_grad()
def reconstruct(vae: ViTVAE, video: Tensor) -> Tensor:
    """Through the autoencoder in tiles of 12 frames, in [-1, 1]."""
    with torch.autocast(video.device.type, torch.bfloat16, enabled=video.is_cuda):
        parts = [vae.decode(vae.encode(part)) for part in video.split(NATIVE_FRAMES, dim=2)]
    return torch.cat(parts, dim=2).float().clamp(-1, 1)


@torch.no_grad()
def evaluate(vae: ViTVAE, clips: Clips, count: int) -> dict[str, float]:
    """Held-out PSNR (mean, 5th percentile, in dB over 8-bit range) of whole chunks, of single images and of 4
    frames; and motion inside latent frames of plain clips with one object, against the drawn displacement (1
    is right, 0 is four equal frames)."""
    device = clips.generator.device
    psnr, short, image, seen_centres, true_centres = [], [], [], [], []
    for i in range(min(count, len(clips.sheet))):
        start = CHUNK_FRAMES * (i % (FRAMES // CHUNK_FRAMES))
        frame = torch.arange(start, start + CHUNK_FRAMES, device=device)[None]
        video = draw(clips.sheet, clips.falling, torch.tensor([i], device=device), frame)
        seen = reconstruct(vae, video)
        psnr.append(decibels(seen, video))
        short.append(decibels(reconstruct(vae, video[:, :, :4]), video[:, :, :4]))
        still = video[:, :, :1].expand(-1, -1, 4, -1, -1)
        image.append(decibels(reconstruct(vae, still), still))
        scenes = clips.scenes
        clean = not (scenes.second[i] or scenes.degraded[i] or scenes.style[i] or scenes.border[i] or scenes.bar[i])
        if clean and not scenes.logo[i]:
            tracks = [measure(to_uint8(v)[0]).centre for v in (seen, video)]
            seen_centres.append(tracks[0])
            true_centres.append(tracks[1])
    ordered = torch.tensor(psnr).sort().values
    result = {
        "held_out_psnr": float(ordered.mean()),
        "held_out_psnr_p5": float(ordered[int(0.05 * len(ordered))]),
        "four_frame_psnr": float(torch.tensor(short).mean()),
        "image_psnr": float(torch.tensor(image).mean()),
    }
    if seen_centres:
        result["latent_motion_ratio"] = latent_motion_ratio(torch.stack(seen_centres), torch.stack(true_centres))
    return {key: round(value, 3) for key, value in result.items()}


@torch.no_grad()
def by_kind(vae: ViTVAE, clips: Clips, count: int) -> dict[str, float]:
    """Mean PSNR of up to `count` held-out seconds in clear weather, in rain, in snow; and of the frames in which an
    object turns another colour, or the background another one, in clear weather."""
    scenes, device = clips.scenes, clips.generator.device
    spoiled = (scenes.degraded | scenes.fade_in)[:, None]
    clear = (scenes.weather_from == 0) & (scenes.weather_to == 0) & ~spoiled
    falls = [(scenes.weather_from == kind) & (scenes.weather_to == kind) & ~spoiled for kind in (1, 2)]
    whole = slice(None)
    turning, repainted = (slice(turn[0], sum(turn)) for turn in (COLOUR_TURN, BACKGROUND_TURN))
    kinds = {"clear": (clear, whole), "rain": (falls[0], whole), "snow": (falls[1], whole)}
    kinds["changing"] = (clear & (scenes.event == RECOLOUR), turning)
    kinds["repainted"] = (clear & (scenes.event == REPAINT), repainted)
    result = {}
    for name, (which, part) in kinds.items():
        values = []
        for clip, chunk in np.argwhere(which)[:: max(1, int(which.sum()) // count)][:count]:
            frame = torch.arange(CHUNK_FRAMES, device=device)[None] + CHUNK_FRAMES * int(chunk)
            video = draw(clips.sheet, clips.falling, torch.tensor([int(clip)], device=device), frame)
            values.append(decibels(reconstruct(vae, video)[:, :, part], video[:, :, part]))
        result[f"{name}_psnr"] = round(float(np.mean(values)), 3) if values else 0.0
    return result


def decibels(seen: Tensor, video: Tensor) -> float:
    return float(-10 * torch.log10((seen - video).square().mean() / 4 + 1e-12))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="wall clock in all, compilation and evaluation included"
    )
    parser.add_argument("--reserve", type=float, default=0.5, help="minutes of it kept for export and evaluation")
    parser.add_argument("--steps", type=int, default=None, help="stop after so many steps even if time is left")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="weights to continue from (a .safetensors of this script)")
    parser.add_argument("--decoder-only", action="store_true", help="go on with the decoder: --init's latents stay")
    parser.add_argument("--depth", type=int, help="blocks on each side, if other than usual; --init may have fewer")
    parser.add_argument("--anchor", type=float, default=0.0, help="weight of keeping the latents of --init near")
    parser.add_argument("--batch", type=int, default=48, help="per GPU")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--clips", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--conv", choices=convolutions.FORMS, help="form of the last convolution; default: the fastest")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--log-every", type=int, default=200)
    parser.add_argument("--save-seconds", type=float, default=60)
    parser.add_argument("--report", type=int, default=200, help="held-out seconds in vae_report.json")
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args()
    if (args.decoder_only or args.anchor) and not args.init:
        parser.error("--decoder-only and --anchor go on from the weights of --init")
    if args.dry_run:
        args.minutes, args.reserve, args.steps, args.batch, args.clips = 5, 0, 12, 2, 40
        args.compile, args.log_every, args.save_seconds = False, 4, 1
    device = join()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    args.out.mkdir(parents=True, exist_ok=True)
    vae = train(args, device, args.out)
    if rank() == 0:
        finish(args, vae, device)
    leave()


def finish(args: argparse.Namespace, vae: ViTVAE, device: torch.device) -> None:
    """Export, and the report on held-out clips of the whole world."""
    count = 4 if args.dry_run else args.report
    report = {}
    if not (args.decoder_only or args.anchor):
        clips = Clips(40 if args.dry_run else 2000, args.seed + 7, device)
        report |= normalise_latents(vae, clips, 1 if args.dry_run else 24)
    save(vae, vae.config, args.out)
    loaded = ViTVAE(vae.config, device=device, dtype=torch.float32)
    loaded.load_state_dict({k: v.float() for k, v in load_file(args.out / "vae.safetensors").items()})
    held_out = Clips(count, args.seed + 2000, device)
    report |= evaluate(loaded, held_out, count) | by_kind(loaded, held_out, count)
    scaled = encode(loaded, held_out.batch(min(count, 64), NATIVE_FRAMES)) * LATENT_SCALE
    report |= {"scaled_latent_std": float(scaled.std()), "clips": count}
    (args.out / "vae_report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({k: v for k, v in report.items() if not isinstance(v, list)}), flush=True)


if __name__ == "__main__":
    main()
