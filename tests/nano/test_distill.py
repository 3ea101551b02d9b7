"""The distilled nano learns what the engine asks of it: the same step sizes, windows, flags and guidance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from magi_core.attention.sdpa import sdpa
from magi_core.config import Guidance, SamplingSettings
from magi_core.dit import DiT
from magi_core.sampling.forward import ForwardInput, Predictor
from magi_core.sampling.guidance import scales
from magi_core.sampling.timesteps import step_factor, step_intervals, timesteps
from magi_core.sampling.window import Slot, plan_page, plan_stage
from tools.nano.batches import CLEAN_T, Batch, sample_batch
from tools.nano.chunk_attention import sdpa_mask
from tools.nano.clips import TEXT_LENGTH
from tools.nano.distill import student_weights
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
    pass_scales,
    shortcut_target,
    step_factors,
)
from tools.nano.install import SAMPLING
from tools.nano.recipe import dit_config
from tools.nano.text_model import SPECIAL_INDEX, make_text_model, make_tokenizer
from tools.nano.training_model import SpecialTable, make_dit, predict, read_text

CPU = torch.device("cpu")
GUIDANCE = Guidance(knots=(0.0, 0.3), previous=(1.5, 1.2), text=(7.5, 2.0))
CLEAN = 2  # chunks of the test window that are finished; the other four are one stage apart


class Nets:
    """A tiny transformer with its text side, and the same weights in the engine's classes."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        config, tokenizer = dit_config(tiny=True), make_tokenizer()
        self.dit, self.text_model = make_dit(config, CPU, torch.float32), make_text_model(tokenizer).eval()
        nn.init.normal_(self.dit.final_linear.linear.weight, std=0.1)
        self.table = SpecialTable(config.caption_channels, CPU).table
        self.config = config

    def text(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        null_rows = self.dit.y_embedder.null_caption_embedding
        return read_text(self.text_model, self.table, null_rows, batch.ids, batch.counts, batch.prefix, batch.null)

    @torch.no_grad()
    def velocity(self, batch: Batch, factor: torch.Tensor | None = None) -> torch.Tensor:
        text, mask = self.text(batch), sdpa_mask(batch.first_key, 24)
        return predict(self.dit, "sdpa", batch.x, batch.t, batch.dropped, *text, torch.arange(36), mask, factor)

    @torch.no_grad()
    def predictor(self, batch: Batch, settings: SamplingSettings, *, distill: bool):
        """The engine's predictor on these weights, and the contexts of the batch's six slots."""
        dit = DiT(replace(self.config, distill=distill))
        dit.load_state_dict(self.dit.state_dict())
        text, visible = self.text(batch)
        contexts = [dit.text_context(row[seen]) for row, seen in zip(text, visible, strict=True)]
        null = dit.text_context(self.dit.y_embedder.null_caption_embedding[:50])
        return Predictor(dit, sdpa, settings, null), contexts


@pytest.fixture(scope="module")
def nets() -> Nets:
    return Nets()


def window(settings: SamplingSettings, forward: int) -> tuple[Batch, object]:
    """One sample: two finished chunks and four in flight, as forward number `forward` of a stage has them."""
    torch.manual_seed(2)
    slots = [Slot(CLEAN + i, 3 - i) for i in range(4)]
    plan = list(plan_stage(slots, 1, settings))[forward]
    planned = plan.chunks[-4:]
    t = torch.tensor([[CLEAN_T] * CLEAN + [float(timesteps(settings.steps)[c.step]) for c in planned]])
    prefix = torch.full((1, 6, 6), -1)
    prefix[0, CLEAN:, 0] = SPECIAL_INDEX["HQ"]
    noisy = torch.arange(6)[None] >= CLEAN
    x = torch.randn(1, 16, 36, 4, 4)
    batch = Batch(
        x=x,
        target=torch.zeros_like(x),
        weight=noisy.float().repeat_interleave(6, dim=1),
        fixed=~noisy.repeat_interleave(6, dim=1),
        t=t,
        first_key=torch.tensor([[0, 1, *(c.attends[0] for c in planned)]]),
        dropped=~noisy,
        ids=torch.randint(3, 40, (1, 6, TEXT_LENGTH)),
        counts=torch.full((1, 6), 7),
        prefix=prefix,
        null=~noisy,
        chunk=torch.arange(6)[None],
        focus=torch.ones(1, 36, 4, 4),
        worn=torch.zeros(1, 6, dtype=torch.bool),
    )
    return batch, plan


@torch.no_grad()
def test_the_teachers_target_is_what_the_engine_samples_with(nets):
    settings = SamplingSettings(steps=16, guidance=GUIDANCE)
    batch, plan = window(settings, 1)  # later than the first: the text pass reads every page as it is
    predictor, contexts = nets.predictor(batch, settings, distill=False)
    latents = batch.x[0].chunk(6, dim=1)
    pages = {i: predictor.page(plan_page(i, settings), latents[i], {}) for i in range(CLEAN)}
    inputs = [ForwardInput(latents[i], float(batch.t[0, i]), contexts[i]) for i in range(CLEAN, 6)]
    sampled = predictor(plan, inputs, pages)
    target = guided_target(batch, GUIDANCE, nets.velocity)[0].chunk(6, dim=1)[CLEAN:]
    unguided = nets.velocity(batch)[0].chunk(6, dim=1)[CLEAN:]
    for engine, trained, plain in zip(sampled, target, unguided, strict=True):
        assert torch.allclose(engine, trained, atol=1e-4)
        assert not torch.allclose(engine, plain, atol=1e-2)


@pytest.mark.parametrize("steps, factor", [(8, COARSE_FACTOR), (16, FINE_FACTOR)])
@torch.no_grad()
def test_the_student_is_run_as_the_engine_runs_it(nets, steps, factor):
    settings = SamplingSettings(steps=steps, nearly_clean_threshold=2.0)
    batch, plan = window(settings, 0)
    assert plan.fresh is not None
    predictor, contexts = nets.predictor(batch, settings, distill=True)
    latents = batch.x[0].chunk(6, dim=1)
    pages = {i: predictor.page(plan_page(i, settings), latents[i], {}) for i in range(CLEAN)}
    inputs = [ForwardInput(latents[i], float(batch.t[0, i]), contexts[i]) for i in range(CLEAN, 6)]
    sampled = predictor(plan, inputs, pages)
    trained = nets.velocity(as_student(batch), torch.full((1, 6), factor))[0].chunk(6, dim=1)[CLEAN:]
    for engine, student in zip(sampled, trained, strict=True):
        assert torch.allclose(engine, student, atol=1e-5)


@pytest.mark.parametrize(
    "steps, shortcut", [(4, "8,16,16"), (8, "8,16,16"), (16, "8,16,16"), (12, "8,16,16"), (12, "16,16,8")]
)
def test_every_step_of_the_engine_is_trained_with_its_size(corpus, steps, shortcut):
    generator = torch.Generator().manual_seed(6)
    seen = set()
    for mix, factor in ((FINE_MIX, FINE_FACTOR), (COARSE_MIX, COARSE_FACTOR), (DRAFT_MIX, DRAFT_FACTOR)):
        batch = sample_batch(corpus, 200, generator, mix)
        seen |= {(t, factor) for t in batch.t[batch.t < CLEAN_T].tolist()}
    grid, intervals = timesteps(steps, shortcut).tolist(), step_intervals(steps, shortcut)
    asked = {(grid[i], step_factor(steps, interval)) for i, interval in enumerate(intervals)}
    assert asked <= seen
    assert len(seen) == 4 + 8 + 16  # and nothing is trained that is never asked


def test_windows_are_the_samplers(corpus):
    batch = sample_batch(corpus, 200, torch.Generator().manual_seed(7), COARSE_MIX)
    grid = timesteps(8)
    step = (batch.t[..., None] - grid).abs().argmin(-1)
    noisy = batch.t < CLEAN_T
    same = noisy[:, 1:] & noisy[:, :-1] & (batch.first_key[:, 1:] < torch.arange(1, 6))
    assert (step[:, :-1] - step[:, 1:])[same].unique().tolist() == [2]  # one stage of 8 steps apart
    ranges = (torch.arange(6) - batch.first_key + 1)[noisy & (batch.first_key > 0)]
    assert set(ranges.tolist()) >= {1, 2, 3, 4}
    last = noisy[:, 5]
    assert {int(s) for s in step[last, 5]} == set(range(8))  # chunks that finish last leave the window alone


def test_scales_are_the_engines():
    for t in timesteps(16)[:-1]:
        previous, text = pass_scales(GUIDANCE, t[None])
        assert (float(previous), float(text)) == pytest.approx(scales(GUIDANCE, float(t)))


@pytest.mark.parametrize("mix, steps", [(COARSE_MIX, COARSE), (DRAFT_MIX, DRAFT)])
@torch.no_grad()
def test_one_long_step_ends_where_two_short_ones_do(nets, corpus, mix, steps):
    batch = sample_batch(corpus, 8, torch.Generator().manual_seed(8), mix)

    def student(part: Batch, factor: torch.Tensor) -> torch.Tensor:
        assert (factor == step_factor(2 * steps, 1)).all() and not part.dropped.any()
        return nets.velocity(part, factor)

    target = shortcut_target(batch, student, torch.full((8,), steps))
    short, long = timesteps(2 * steps), timesteps(steps)
    step = (batch.t[..., None] - long).abs().argmin(-1).clamp(max=steps - 1)
    noisy = batch.t < CLEAN_T

    def spread(per_slot: torch.Tensor) -> torch.Tensor:
        return per_slot.repeat_interleave(6, dim=1)[:, None, :, None, None]

    free = ~batch.fixed[:, None, :, None, None].expand_as(batch.x)
    middle = short[2 * step + 1]
    one = nets.velocity(as_student(batch), torch.full_like(batch.t, step_factor(2 * steps, 1)))
    x = torch.where(free, batch.x + spread(middle - batch.t) * one, batch.x)
    moved = replace(as_student(batch), x=x, t=torch.where(noisy, middle, batch.t))
    two = nets.velocity(moved, torch.full_like(batch.t, step_factor(2 * steps, 1)))
    end = long[step + 1]
    by_two = batch.x + spread(middle - batch.t) * one + spread(end - middle) * two
    by_one = batch.x + spread(end - batch.t) * target
    assert torch.allclose(by_one[free], by_two[free], atol=1e-4)


def test_a_clean_chunk_may_have_been_cached_at_the_other_step_size(corpus):
    batch = sample_batch(corpus, 400, torch.Generator().manual_seed(9), FINE_MIX)
    factor = step_factors(batch, FINE_FACTOR, COARSE_FACTOR, torch.Generator().manual_seed(10))
    clean = batch.t >= CLEAN_T
    assert (factor[~clean] == FINE_FACTOR).all()
    assert 0.05 < float((factor[clean] == COARSE_FACTOR).float().mean()) < 0.4


def test_nano_distill_is_sampled_at_the_step_size_it_learned():
    assert step_factor(SAMPLING["distill"]["steps"], 1) == COARSE_FACTOR
    assert step_factor(SAMPLING["base"]["steps"], 1) == FINE_FACTOR


def _started(folder: Path, name: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command += ["-m", f"tools.nano.{name}", "--dry-run", "--out", str(folder / name), *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _ended(started: subprocess.Popen[str]) -> None:
    _, words = started.communicate(timeout=600)
    assert started.returncode == 0, words[-2000:]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A dry run of training and one of distilling its result on clips that were drawn before, each in two processes."""
    folder = tmp_path_factory.mktemp("runs")
    later = ["--init", str(folder / "train_dit"), "--wait", "--corpus", str(folder / "corpus")]
    first = [_started(folder, name) for name in ("corpus", "train_dit")]
    for started in first:
        _ended(started)
    # Four steps leave its velocities too close to zero to learn from.
    weights = load_file(folder / "train_dit" / "dit.safetensors")
    weights["final_linear.linear.weight"].normal_(std=0.1, generator=torch.Generator().manual_seed(11))
    save_file(weights, folder / "train_dit" / "dit.safetensors")
    _ended(_started(folder, "distill", *later))
    return folder


def test_distillation_runs_in_several_processes_and_moves_the_transformer_alone(runs):
    base, student = (load_file(runs / name / "dit.safetensors") for name in ("train_dit", "distill"))
    assert {n: (v.shape, v.dtype) for n, v in base.items()} == {n: (v.shape, v.dtype) for n, v in student.items()}
    assert any(not torch.equal(base[name], student[name]) for name in base)
    assert sorted(path.name for path in (runs / "distill").iterdir()) == [
        "dit.safetensors",
        "dit_log.jsonl",
        "finished",
        "raw.safetensors",
    ]
    lines = [json.loads(line) for line in (runs / "distill" / "dit_log.jsonl").read_text().splitlines()]
    assert lines[0]["loss"] > 0 and lines[-1]["final"]


def test_a_student_starts_from_what_an_earlier_distillation_changed(tmp_path):
    before, changed, teacher = (torch.randn(3, 4) for _ in range(3))
    for name, value in (("base", before), ("student", before + changed)):
        (tmp_path / name).mkdir()
        save_file({"layer.weight": value}, tmp_path / name / "dit.safetensors")
    merged = student_weights({"layer.weight": teacher}, tmp_path / "student", tmp_path / "base")
    assert torch.allclose(merged["layer.weight"], teacher + changed, atol=1e-6)
    alone = student_weights({"layer.weight": teacher}, tmp_path / "student", None)
    assert torch.equal(alone["layer.weight"], before + changed)
