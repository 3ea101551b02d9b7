"""What base training and distillation share: processes, models, clips, and the loop that steps, logs, saves and
looks."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tools.nano.batches import Batch, keep_guesses
from tools.nano.chunk_attention import choose_backend, flex_mask, sdpa_mask
from tools.nano.clips import Corpus
from tools.nano.compilation import first_that_works
from tools.nano.corpus import build_corpus, load_corpus, seed_here, stand_in
from tools.nano.export import export_dit, export_raw, load_autoencoder, load_weights
from tools.nano.level_balance import LevelBalance, by_quarter
from tools.nano.master import Master
from tools.nano.processes import agree, arrival, join, leave, rank
from tools.nano.quick_look import QuickLook
from tools.nano.recipe import dit_config
from tools.nano.schedule import Clock, learning_rate
from tools.nano.text_model import make_text_model, make_tokenizer
from tools.nano.training_model import SlotDiT, SpecialTable, make_dit, read_text

FINISHED = "finished"  # a file in the folder of a run that has ended
WAIT_MINUTES = 25.0  # for another process


class Run:
    """One training run. Subclasses say what is trained (`trained`), how it is compiled (`prepare`), what a loss is
    (`loss`), how samples are made (`look_at`), and may write more files (`export`)."""

    def __init__(self, args: argparse.Namespace, device: torch.device) -> None:
        self.args, self.device = args, device
        self.clock = Clock(args.minutes - args.reserve, args.steps)
        self.rank = rank()
        config = dit_config(args.dry_run)
        self.dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        torch.manual_seed(args.seed)
        self.tokenizer = make_tokenizer()
        self.dit = make_dit(config, device, self.dtype)
        self.text_model = make_text_model(self.tokenizer).to(device)
        self.special = SpecialTable(config.caption_channels, device)
        self.add_models()
        self.vae = load_autoencoder(args.vae, device)

        self.frames = torch.arange(36, device=device)
        self.generator = torch.Generator(device).manual_seed(args.seed + 101 * self.rank + 1)
        self.levels = LevelBalance(device, args.balance)
        self.corpus = stand_in(self.tokenizer, device)
        grid = self.corpus.latents.shape[-1]
        self.slot_tokens = 6 * (grid // 2) ** 2
        self.master = self._fresh_master()
        self._choose_speed()

        if args.init:
            self._begin_from(args.init)
        self.begin()
        self.master = self._fresh_master()
        if args.resume:
            self.master.go_on_from(load_file(args.init / "raw.safetensors"))
        self.say(f"{len(self.master.weights):,} parameters are trained")
        self.corpus = self._clips()
        std = self.corpus.latents[:64].float().std()
        self.say(f"{len(self.corpus.latents)} clips after {self.clock.elapsed:.0f} s; latent std {std:.3f}")
        self.looker = QuickLook(args.look, 4242, self.tokenizer, device, grid) if self.rank == 0 else None
        self.say(f"set up in {self.clock.elapsed:.0f} s")

    def _fresh_master(self) -> Master:
        """Training state that begins from the weights as they are."""
        return Master(self.trained(), decay=0.05, betas=(0.9, 0.97), ema=self.args.ema, clip=1.0)

    def _begin_from(self, folder: Path) -> None:
        """Load the weights of an earlier run; with `--wait` of one that is still under way, when it has ended."""
        if self.args.wait:
            arrival(folder / FINISHED, WAIT_MINUTES)
            self.clock = Clock(self.args.minutes - self.args.reserve, self.args.steps)
        load_weights(folder, self.dit, self.text_model, self.special, self.tokenizer)

    def _clips(self) -> Corpus:
        args = self.args
        if args.corpus:
            return load_corpus(args.corpus, self.device, WAIT_MINUTES)
        at_once, seed = 2 if args.dry_run else 16, seed_here(args.seed)
        return build_corpus(self.vae, self.tokenizer, args.clips, seed, compiled=args.compile, at_once=at_once)

    def add_models(self) -> None:
        """Called once, before anything is compiled; no weights are loaded yet."""

    def begin(self) -> None:
        """Called once, when the weights to start from are loaded."""

    def trained(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Names ("dit.*", "t5.*", "special.table") and parameters that the optimiser moves."""
        return [(f"dit.{name}", parameter) for name, parameter in self.dit.named_parameters()]

    def prepare(self, backend: str, compiled: bool) -> None:
        """Set up the forward passes for an attention backend."""
        raise NotImplementedError

    def loss(self) -> tuple[Tensor, Tensor, Tensor, Batch]:
        """Loss of a fresh batch, mean squared error per slot [B, 6], the velocity (as the batch's x), and the batch."""
        raise NotImplementedError

    def look_at(self) -> dict[str, float]:
        """Shares of attributes that samples of the moving average show."""
        raise NotImplementedError

    def export(self, averages: dict[str, Tensor]) -> None:
        export_dit(self.args.out, averages)

    def say(self, text: str) -> None:
        if self.rank == 0:
            print(text, flush=True)

    def _choose_speed(self) -> None:
        """The fastest way to run the model that survives one forward and backward."""
        self.backend, config = self.args.attention, self.dit.config
        if self.backend == "auto":
            self.backend = choose_backend(self.device, self.slot_tokens, config.num_heads, config.head_dim)
        choices = [(f"{backend}, compiled", (backend, True)) for backend in dict.fromkeys((self.backend, "sdpa"))]
        choices = [*(choices if self.args.compile else []), ("sdpa, eager", ("sdpa", False))]

        def trial(choice: tuple[str, bool]) -> None:
            self.backend, compiled = choice
            self.prepare(self.backend, compiled)
            loss, *_ = self.loss()
            loss.backward()
            for _, parameter in self.trained():
                parameter.grad = None
            if not torch.isfinite(loss):
                raise ArithmeticError("the first loss is not finite")

        name, _ = first_that_works(choices, trial)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # another run may be under way beside this one's wait
        self.say(f"transformer runs with {name}")

    def mask(self, first_key: Tensor):
        """The attention backend's form of "slot i sees slots first_key[:, i] to i"."""
        return (flex_mask if self.backend == "flex" else sdpa_mask)(first_key, self.slot_tokens)

    def text(self, batch: Batch, dit: SlotDiT) -> tuple[Tensor, Tensor]:
        """What the batch's slots read, with the null text of `dit`, and which positions of it are visible."""
        null_rows = dit.y_embedder.null_caption_embedding
        parts = (batch.ids, batch.counts, batch.prefix, batch.null)
        return read_text(self.text_model, self.special.table, null_rows, *parts)

    def step(self) -> tuple[Tensor, Tensor, Tensor, Batch]:
        args = self.args
        loss, per_slot, velocity, batch = self.loss()
        loss.backward()
        keep_guesses(self.corpus, batch, velocity)
        self.levels.update(per_slot, batch)
        schedule = {"warmup": args.warmup, "decay_from": args.decay_from, "floor": 0.02}
        norm = self.master.step(learning_rate(args.lr, self.clock.step, self.clock.progress, **schedule))
        self.clock.step += 1
        return loss.detach(), per_slot, norm, batch

    def train(self) -> None:
        args, clock = self.args, self.clock
        losses: list[Tensor] = []
        saved, done = clock.elapsed, False
        while not done:
            loss, per_slot, norm, batch = self.step()
            losses.append(loss)
            if clock.step % 10 == 0 or clock.limit:
                done = agree(clock.done, self.device)
            if self.rank == 0 and clock.step % args.log_every == 0:
                line = {"loss": round(float(torch.stack(losses).mean()), 5)}
                line |= {"norm": round(float(norm), 3), "quarters": by_quarter(per_slot, batch)}
                losses = []
                if clock.elapsed - saved > args.save_seconds:
                    line |= self._save()
                    self.master.restore()
                    saved = clock.elapsed
                self._log(line)
        self.say(f"{clock.step} steps in {clock.elapsed:.0f} s")
        if self.rank == 0:
            self._log({"final": True} | self._save())
            (self.args.out / FINISHED).touch()

    def _save(self) -> dict[str, float]:
        """Export the moving average (it stays in the modules) and look at what it makes."""
        start = self.clock.elapsed
        export_raw(self.args.out, self.master.current())
        self.master.load_averaged()
        self.export(self.master.averaged())
        return self.look_at() | {"looked_for": round(self.clock.elapsed - start, 1)}

    def _log(self, line: dict) -> None:
        line = {"step": self.clock.step, "seconds": round(self.clock.elapsed, 1)} | line
        print(json.dumps(line), flush=True)
        with (self.args.out / "dit_log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")


def arguments(description: str, **defaults: float) -> argparse.ArgumentParser:
    """The options every run has; `defaults` replaces those of single options."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="wall clock in all, compilation and set-up included")
    parser.add_argument("--reserve", type=float, default=0.3, help="minutes of it kept for the last export and look")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--vae", type=Path, help="folder with vae.safetensors and vae_config.json")
    parser.add_argument("--init", type=Path, help="folder with the weights of an earlier run")
    parser.add_argument("--resume", action="store_true", help="with --init's raw weights too, not its averages alone")
    parser.add_argument("--wait", action="store_true", help="for --init to end; --minutes count from then on")
    parser.add_argument("--corpus", type=Path, help="folder that `tools.nano.corpus` writes: clips are not drawn here")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=32, help="per GPU")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--warmup", type=int, default=300)
    parser.add_argument("--decay-from", type=float, default=0.6)
    parser.add_argument("--balance", type=float, default=0.5, help="0: every noise level counts by its error")
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--clips", type=int, default=24000, help="per GPU")
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--attention", choices=("auto", "flex", "sdpa"), default="auto")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--log-every", type=int, default=200)
    parser.add_argument("--save-seconds", type=float, default=90)
    parser.add_argument("--look", type=int, default=96, help="held-out prompts sampled at every save")
    parser.add_argument("--dry-run", action="store_true")
    parser.set_defaults(**defaults)
    return parser


def start(run: type[Run], args: argparse.Namespace) -> None:
    """Run to the end, in as many processes as `torchrun` started."""
    if args.dry_run:
        args.minutes, args.steps, args.batch, args.clips, args.look = 9, 2, 4, 2, 1
        args.compile, args.log_every, args.save_seconds = False, 1, 0
    device = join()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / FINISHED).unlink(missing_ok=True)
    run(args, device).train()
    leave()
