"""Train nano's transformer, text encoder and special tokens on drawn clips; export them in official form.

    python -m tools.nano.train_dit --vae DIR --minutes 9 --out OUT                 # from scratch
    python -m tools.nano.train_dit --vae DIR --minutes 9 --out OUT --init OUT1     # go on from weights
    python -m tools.nano.train_dit --dry-run --out OUT                             # CPU, every code path
    torchrun --nproc-per-node 2 -m tools.nano.train_dit ...                        # several GPUs

DIR holds vae.safetensors and vae_config.json. OUT receives dit.safetensors (moving average, bfloat16 with
float32 embedders), t5.safetensors, t5_config.json, tokenizer.json, special_tokens.npz and dit_log.jsonl;
`tools.nano.install` puts them where the engine looks. Optimiser state is not kept: runs restart from weights.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor

from magi_core.vae.config import VAEConfig
from magi_core.vae.model import ViTVAE
from tools.nano import convolutions
from tools.nano.batches import Batch, progress_of, sample_batch
from tools.nano.chunk_attention import choose_backend, flex_mask, sdpa_mask
from tools.nano.compilation import first_that_works
from tools.nano.corpus import build_corpus
from tools.nano.master import Master
from tools.nano.quick_look import QuickLook
from tools.nano.recipe import TINY_VAE, dit_config
from tools.nano.schedule import Clock, learning_rate
from tools.nano.text_model import (
    load_special_table,
    make_text_model,
    make_tokenizer,
    save_special_tokens,
    save_text_model,
)
from tools.nano.training_model import SlotLoss, SpecialTable, make_dit, read_text


class Trainer:
    """Models, data and optimiser of one run."""

    def __init__(self, args: argparse.Namespace, device: torch.device, clock: Clock) -> None:
        self.args, self.device, self.clock = args, device, clock
        rank = dist.get_rank() if dist.is_initialized() else 0
        self.rank = rank
        config = dit_config(args.dry_run)
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        torch.manual_seed(args.seed)
        self.tokenizer = make_tokenizer()
        self.dit = make_dit(config, device, dtype)
        self.text_model = make_text_model(self.tokenizer).to(device)
        self.special = SpecialTable(config.caption_channels, device)
        if args.init:
            self._load(args.init)
        named = [
            *((f"dit.{n}", p) for n, p in self.dit.named_parameters()),
            *((f"t5.{n}", p) for n, p in self.text_model.named_parameters()),
            ("special.table", self.special.table),
        ]
        self.master = Master(named, decay=0.05, betas=(0.9, 0.97), ema=args.ema, clip=1.0)
        self.say(
            f"{sum(p.numel() for p in self.dit.parameters()):,} parameters in the transformer, "
            f"{sum(p.numel() for p in self.text_model.parameters()):,} in the text encoder"
        )

        self.vae = load_vae(args, device)
        start = time.monotonic()
        self.corpus = build_corpus(
            self.vae,
            self.tokenizer,
            args.clips,
            args.seed + 17 * rank,
            compiled=args.compile,
            at_once=4 if args.dry_run else 16,
        )
        latents = self.corpus.latents[:64].float()
        self.say(f"{args.clips} clips in {time.monotonic() - start:.0f} s; latent std {latents.std():.3f}")

        self.slot_tokens = 6 * (latents.shape[-1] // 2) ** 2
        self.backend = args.attention
        if self.backend == "auto":
            self.backend = choose_backend(device, self.slot_tokens, config.num_heads, config.head_dim)
        self.frames = torch.arange(36, device=device)
        self.generator = torch.Generator(device).manual_seed(args.seed + 101 * rank + 1)
        self.levels = LevelBalance(device, args.balance)
        self._choose_loss()
        self.look = QuickLook(args.look, 4242, self.tokenizer, device, latents.shape[-1]) if rank == 0 else None
        self.say(f"set up in {clock.elapsed:.0f} s")

    def say(self, text: str) -> None:
        if self.rank == 0:
            print(text, flush=True)

    def _load(self, folder: Path) -> None:
        self.dit.load_state_dict(dict(load_file(folder / "dit.safetensors")))
        self.text_model.load_state_dict(dict(load_file(folder / "t5.safetensors")), strict=False)
        self.special.table.data.copy_(load_special_table(folder / "special_tokens.npz"))

    def _choose_loss(self) -> None:
        """The fastest way to run the model that survives one forward and backward."""
        choices = [(f"{backend}, compiled", (backend, True)) for backend in dict.fromkeys((self.backend, "sdpa"))]
        choices = [*(choices if self.args.compile else []), ("sdpa, eager", ("sdpa", False))]

        def trial(choice: tuple[str, bool]) -> None:
            self.backend, compiled = choice
            module = SlotLoss(self.dit, self.backend)
            self.loss_of = torch.compile(module, dynamic=False) if compiled else module
            loss, _ = self.loss(sample_batch(self.corpus, self.args.batch, self.generator))
            loss.backward()
            for parameter in self.master.parameters:
                parameter.grad = None
            if not torch.isfinite(loss):
                raise ArithmeticError("the first loss is not finite")

        name, _ = first_that_works(choices, trial)
        self.say(f"transformer runs with {name}")

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        text, visible = read_text(
            self.text_model,
            self.special.table,
            self.dit.y_embedder.null_caption_embedding,
            batch.ids,
            batch.counts,
            batch.prefix,
            batch.null,
        )
        make_mask = flex_mask if self.backend == "flex" else sdpa_mask
        mask = make_mask(batch.first_key, self.slot_tokens)
        return self.loss_of(
            batch.x,
            batch.target,
            self.levels.weigh(batch),
            batch.t,
            batch.dropped,
            text,
            visible,
            self.frames,
            mask,
        )

    def step(self) -> tuple[Tensor, Tensor, Tensor, Batch]:
        args = self.args
        batch = sample_batch(self.corpus, args.batch, self.generator)
        loss, per_slot = self.loss(batch)
        loss.backward()
        self.levels.update(per_slot, batch)
        rate = learning_rate(
            args.lr,
            self.clock.step,
            self.clock.progress,
            warmup=args.warmup,
            decay_from=args.decay_from,
            floor=0.02,
        )
        norm = self.master.step(rate)
        self.clock.step += 1
        return loss.detach(), per_slot, norm, batch

    def train(self) -> None:
        args, clock = self.args, self.clock
        log = (args.out / "dit_log.jsonl").open("a") if self.rank == 0 else None
        losses: list[Tensor] = []
        saved, done = clock.elapsed, False
        while not done:
            if args.profile and clock.step == 50:
                self.profile()
            loss, per_slot, norm, batch = self.step()
            losses.append(loss)
            if clock.step % 10 == 0 or clock.limit:
                done = self._agree(clock.done)
            if self.rank == 0 and clock.step % args.log_every == 0:
                line = {"step": clock.step, "seconds": round(clock.elapsed, 1), "loss": mean_of(losses)}
                line |= {"norm": round(float(norm), 3), "quarters": by_quarter(per_slot, batch)}
                losses = []
                if clock.elapsed - saved > args.save_seconds:
                    saved = clock.elapsed
                    self.master.load_averaged()
                    self.export()
                    line |= self.look.run(self.dit, self.text_model, self.special.table, self.vae)
                    self.master.restore()
                    line["looked_for"] = round(clock.elapsed - saved, 1)
                print(json.dumps(line), flush=True)
                log.write(json.dumps(line) + "\n")
                log.flush()
        self.say(f"{clock.step} steps in {clock.elapsed:.0f} s")
        if self.rank == 0:
            self.master.load_averaged()
            self.export()
            line = {"step": clock.step, "seconds": round(clock.elapsed, 1), "final": True}
            line |= self.look.run(self.dit, self.text_model, self.special.table, self.vae)
            print(json.dumps(line), flush=True)
            log.write(json.dumps(line) + "\n")
            log.close()

    def profile(self) -> None:
        """Print the heaviest kernels of five steps, and how much of the time the device was busy."""
        from torch.profiler import ProfilerActivity, profile

        torch.cuda.synchronize()
        start = time.monotonic()
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            for _ in range(5):
                self.step()
            torch.cuda.synchronize()
        elapsed = time.monotonic() - start
        kernels = sorted(seen.key_averages(), key=lambda event: -event.self_device_time_total)
        busy = sum(event.self_device_time_total for event in kernels) / 1e6
        self.say(f"5 steps: {elapsed:.3f} s, device busy {busy:.3f} s")
        for event in kernels[:25]:
            self.say(f"{event.self_device_time_total / 1e3:9.2f} ms {event.count:5d} x  {event.key[:110]}")

    def _agree(self, done: bool) -> bool:
        """All processes stop at the same step."""
        if not dist.is_initialized():
            return done
        flag = torch.tensor([float(done)], device=self.device)
        dist.all_reduce(flag)
        return bool(flag.item() > 0)

    def export(self) -> None:
        """The moving average (already in the modules), each file moved into place whole."""
        out = self.args.out
        averages = self.master.averaged()
        dit = {n[4:]: stored(n[4:], v) for n, v in averages.items() if n.startswith("dit.")}
        t5 = {n[3:]: v for n, v in averages.items() if n.startswith("t5.")}
        save_file(dit, out / "dit.part", metadata={"format": "pt"})
        staging = out / "t5.staging"
        save_text_model(staging, self.tokenizer, self.text_model, t5)
        save_special_tokens(out / "tokens.staging.npz", averages["special.table"])
        os.replace(out / "dit.part", out / "dit.safetensors")
        os.replace(staging / "model.safetensors", out / "t5.safetensors")
        os.replace(staging / "config.json", out / "t5_config.json")
        os.replace(staging / "tokenizer.json", out / "tokenizer.json")
        os.replace(out / "tokens.staging.npz", out / "special_tokens.npz")
        shutil.rmtree(staging)


class LevelBalance:
    """Weights the loss by noise level, so that levels where much cannot be known do not drown the others.

    A slot's frames count `mean error of its level ** -power`; the means are followed as training goes on.
    """

    LEVELS, RATE = 20, 0.02

    def __init__(self, device: torch.device, power: float) -> None:
        self.power = power
        self.error = torch.ones(self.LEVELS, device=device)

    def _level(self, t: Tensor) -> Tensor:
        return (progress_of(t) * self.LEVELS).long().clamp(max=self.LEVELS - 1)

    def weigh(self, batch: Batch) -> Tensor:
        """The batch's frame weights [B, 36] times those of their noise levels."""
        weight = self.error[self._level(batch.t)] ** -self.power
        return batch.weight * weight.repeat_interleave(batch.weight.shape[1] // weight.shape[1], dim=1)

    @torch.no_grad()
    def update(self, per_slot: Tensor, batch: Batch) -> None:
        noisy = (batch.weight.unflatten(1, (per_slot.shape[1], -1)).sum(2) > 0).float()
        level = self._level(batch.t).flatten()
        count = torch.zeros_like(self.error).scatter_add_(0, level, noisy.flatten())
        total = torch.zeros_like(self.error).scatter_add_(0, level, (noisy * per_slot).flatten())
        mean = torch.where(count > 0, total / count.clamp(min=1), self.error)
        self.error = self.error.lerp(mean, self.RATE)


def load_vae(args: argparse.Namespace, device: torch.device) -> ViTVAE:
    if args.vae is None:
        torch.manual_seed(1)
        return ViTVAE(VAEConfig.from_json(TINY_VAE), operations=convolutions, device=device, dtype=torch.float32)
    config = VAEConfig.from_json(json.loads((args.vae / "vae_config.json").read_text()))
    vae = ViTVAE(config, operations=convolutions, device=device, dtype=torch.float32)
    vae.load_state_dict({k: v.float() for k, v in load_file(args.vae / "vae.safetensors").items()})
    return vae.requires_grad_(False)


def stored(name: str, value: Tensor) -> Tensor:
    """A transformer weight as official files hold it: embedders, bands and the last linear in float32, else
    bfloat16."""
    wide = name.startswith(("x_embedder", "t_embedder", "y_embedder", "rope", "final_linear"))
    return value.to("cpu", torch.float32 if wide else torch.bfloat16).contiguous()


def mean_of(losses: list[Tensor]) -> float:
    return round(float(torch.stack(losses).mean()), 5)


def by_quarter(per_slot: Tensor, batch: Batch) -> list[float | None]:
    """Mean squared error of noisy slots by quarter of the sampler's steps, noisy to clean, of one batch."""
    quarter = (progress_of(batch.t) * 4).long().clamp(max=3)
    noisy = batch.weight.unflatten(1, (6, -1)).sum(2) > 0
    groups = [per_slot[noisy & (quarter == q)] for q in range(4)]
    return [round(float(group.mean()), 4) if len(group) else None for group in groups]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="wall clock in all, compilation and set-up included")
    parser.add_argument("--reserve", type=float, default=0.3, help="minutes of it kept for the last export and look")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--vae", type=Path, help="folder with vae.safetensors and vae_config.json")
    parser.add_argument("--init", type=Path, help="folder with the weights of an earlier run")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=32, help="per GPU")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--warmup", type=int, default=300)
    parser.add_argument("--decay-from", type=float, default=0.6)
    parser.add_argument("--balance", type=float, default=0.7, help="0: every noise level counts by its error")
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--clips", type=int, default=24000)
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--attention", choices=("auto", "flex", "sdpa"), default="auto")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--log-every", type=int, default=200)
    parser.add_argument("--save-seconds", type=float, default=90)
    parser.add_argument("--look", type=int, default=96, help="held-out prompts sampled at every save")
    parser.add_argument("--profile", action="store_true", help="print where the time of five steps goes")
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args()
    if args.dry_run:
        args.minutes, args.steps, args.batch, args.clips, args.look = 9, 6, 2, 12, 2
        args.compile, args.log_every, args.save_seconds = False, 3, 0
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if "LOCAL_RANK" in os.environ:
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    args.out.mkdir(parents=True, exist_ok=True)
    Trainer(args, device, Clock(args.minutes - args.reserve, args.steps)).train()
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
