"""Distil nano: one pass instead of three, 8 steps instead of 16, or 4 for drafts.

    python -m tools.nano.distill --vae DIR --init BASE --minutes 8 --out OUT
    python -m tools.nano.distill --dry-run --out OUT                               # CPU, every code path
    torchrun --nproc-per-node 2 -m tools.nano.distill ...                          # several GPUs

The student starts as a copy of the teacher BASE (a `train_dit` run) and learns what `distill_targets` says. With
`--student` and `--student-of` (an earlier distillation, and the base it was made from) it starts as the teacher plus
what that distillation changed. Text encoder and special tokens stay the teacher's. OUT receives dit.safetensors (moving
average) and dit_log.jsonl; `tools.nano.install --distill OUT` puts it beside the base model.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from magi_core.config import Guidance
from tools.nano.batches import Batch, sample_batch
from tools.nano.distill_targets import (
    COARSE,
    COARSE_FACTOR,
    COARSE_MIX,
    DRAFT,
    DRAFT_FACTOR,
    DRAFT_MIX,
    FINE_FACTOR,
    FINE_MIX,
    as_student,
    guided_target,
    shortcut_target,
    step_factors,
)
from tools.nano.install import SAMPLING
from tools.nano.training_model import SlotLoss, SlotVelocity
from tools.nano.training_run import Run, arguments, start


class Distiller(Run):
    """A student with a step size, its moving average, and the frozen teacher."""

    def add_models(self) -> None:
        self.guidance = Guidance(**{name: tuple(values) for name, values in self.args.guidance.items()})
        self.text_model.requires_grad_(False)
        self.special.requires_grad_(False)
        self.teacher = copy.deepcopy(self.dit).requires_grad_(False)
        self.average = copy.deepcopy(self.teacher)

    def begin(self) -> None:
        self.teacher.load_state_dict(self.dit.state_dict())
        if self.args.student:
            self.dit.load_state_dict(student_weights(self.dit.state_dict(), self.args.student, self.args.student_of))
        self.average.load_state_dict(self.dit.state_dict())

    def prepare(self, backend: str, compiled: bool) -> None:
        modules = (
            SlotLoss(self.dit, backend),
            SlotVelocity(self.teacher, backend),
            SlotVelocity(self.average, backend),
        )
        if compiled:
            modules = tuple(torch.compile(module, dynamic=False) for module in modules)
        self.loss_of, self.teacher_of, self.average_of = modules

    def loss(self) -> tuple[Tensor, Tensor, Tensor, Batch]:
        args = self.args
        coarse_size, draft_size = round(args.coarse * args.batch), round(args.drafts * args.batch)
        fine = sample_batch(self.corpus, args.batch - coarse_size - draft_size, self.generator, FINE_MIX)
        coarse = sample_batch(self.corpus, coarse_size, self.generator, COARSE_MIX)
        draft = sample_batch(self.corpus, draft_size, self.generator, DRAFT_MIX)
        factor = torch.cat(
            [
                step_factors(fine, FINE_FACTOR, COARSE_FACTOR, self.generator),
                step_factors(coarse, COARSE_FACTOR, FINE_FACTOR, self.generator),
                step_factors(draft, DRAFT_FACTOR, COARSE_FACTOR, self.generator),
            ]
        )
        fine = replace(fine, target=guided_target(fine, self.guidance, self._ask_teacher))
        self.master.average_into(self.average, "dit.")
        steps = torch.tensor([COARSE] * coarse_size + [DRAFT] * draft_size, device=self.device)
        longer = coarse.joined(draft)
        longer = replace(longer, target=shortcut_target(longer, self._ask_average, steps))
        batch = as_student(fine.joined(longer))
        weight, mask = self.levels.weigh(batch), self.mask(batch.first_key)
        text = self.text(batch, self.dit)
        parts = (batch.x, batch.target, weight, batch.t, batch.dropped, *text, self.frames, mask, batch.focus, factor)
        return (*self.loss_of(*parts), batch)

    def _ask_teacher(self, batch: Batch) -> Tensor:
        text, mask = self.text(batch, self.teacher), self.mask(batch.first_key)
        return self.teacher_of(batch.x, batch.t, batch.dropped, *text, self.frames, mask)

    def _ask_average(self, batch: Batch, factor: Tensor) -> Tensor:
        text, mask = self.text(batch, self.average), self.mask(batch.first_key)
        return self.average_of(batch.x, batch.t, batch.dropped, *text, self.frames, mask, factor)

    def look_at(self) -> dict[str, float]:
        return self.looker.run(self.dit, self.text_model, self.special.table, self.vae, steps=COARSE)


def student_weights(teacher: Mapping[str, Tensor], student: Path, base: Path | None) -> dict[str, Tensor]:
    """Weights of the run `student`; with the run it was distilled from, what it changed there on top of `teacher`."""
    weights = load_file(student / "dit.safetensors")
    if base is None:
        return weights
    before = load_file(base / "dit.safetensors")
    return {name: teacher[name].cpu().float() + (weights[name].float() - before[name].float()) for name in weights}


def main() -> None:
    parser = arguments(__doc__, lr=6e-4, warmup=100, decay_from=0.3, ema=0.998)
    parser.add_argument("--student", type=Path, help="folder with the weights of an earlier distillation")
    parser.add_argument("--student-of", type=Path, help="folder of the base that --student was distilled from")
    parser.add_argument("--coarse", type=float, default=0.4, help="share of samples that learn steps of 8-step runs")
    parser.add_argument("--drafts", type=float, default=0.15, help="share of samples that learn those of 4-step runs")
    parser.add_argument("--guidance", type=json.loads, default=SAMPLING["base"]["guidance"], help="the teacher's, JSON")
    start(Distiller, parser.parse_args())


if __name__ == "__main__":
    main()
