"""`tools.comfyui_gpu_check` loses nothing that was found, whatever a check does to its process. It needs no ComfyUI."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from magi_core import load
from tools.comfyui_gpu_check import run
from tools.comfyui_gpu_check.wide_model import write_lora, write_wide_model

REPOSITORY = Path(__file__).parents[3]
CHECKS = """
import os, sys, time
sys.path.insert(0, {repository!r})
from tools.comfyui.inside.telling import run_checks

def crash(): os.abort()
def hang(): time.sleep(60)
def out_of_time(): raise TimeoutError("the prompt did not finish")
def wrong(): raise ValueError("no picture")

print("starting")
checks = [("first", lambda: {{"process": os.getpid()}}), ("crash", crash), ("second", lambda: 2), ("wrong", wrong),
          ("third", lambda: {{"process": os.getpid()}}), ("out of time", out_of_time), ("hang", hang),
          ("last", lambda: {{"process": os.getpid()}})]
sys.exit(run_checks(checks))
"""


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> run.Report:
    monkeypatch.setattr(run, "QUIET", 2.0)
    return run.Report(tmp_path, time.monotonic() + 60)


def _follow(report: run.Report, code: str) -> dict:
    run.follow("stage", [sys.executable, "-c", code], report)
    return json.loads((report.out / "report.json").read_text())["stage"]


def test_checks_that_crash_hang_or_fail_cost_only_themselves(report: run.Report) -> None:
    found = _follow(report, CHECKS.format(repository=str(REPOSITORY)))
    assert found["second"] == 2
    assert "-6" in found["crash"]["failed"] and "not done in time" in found["hang"]["failed"]
    assert "no picture" in found["wrong"]["failed"] and "did not finish" in found["out of time"]["failed"]
    processes = [found[name]["process"] for name in ("first", "third", "last")]
    assert len(set(processes)) == 3  # one until the crash, one until the time-out, one after the hang
    assert report.failed and "end" in found
    assert (report.out / "log.txt").read_text().count("starting") == 4


def test_without_its_model_no_stage_is_begun(report: run.Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "TOOL", [sys.executable, "-c", "raise SystemExit(3)"])
    stages = {"8 GB": run.BUDGETS["8 GB, dynamic VRAM"], "tests": run.Stage(run.TESTS, [])}
    assert list(run._make_models(stages, report.out, report, cpu=True)) == ["tests"]
    told = json.loads((report.out / "report.json").read_text())["models"]
    assert report.failed and told == {"official": {"failed": "writing it ended with 3"}}


def test_a_stage_that_cannot_start_is_told_once(report: run.Report) -> None:
    found = _follow(report, "print('no such model'); raise SystemExit(1)")
    assert "ended with 1: no such model" in found["end"]["failed"] and list(found) == ["end"]


def test_time_that_is_up_ends_a_stage(report: run.Report) -> None:
    report.deadline = time.monotonic() + 1
    started = time.monotonic()
    found = _follow(report, "import time; print('on', flush=True); time.sleep(30)")
    assert time.monotonic() - started < 5
    assert "not done in time: on" in found["end"]["failed"]


def test_the_wide_model_loads_and_its_lora_fits(tmp_path: Path) -> None:
    """It is a model like any other: layout, headers, text encoder and VAE; the LoRA names layers that it has."""
    write_wide_model(tmp_path / "wide", "rehearsal")
    engine = load(tmp_path / "wide", device="cpu", dtype="fp32").with_settings(
        steps=4, special_tokens=(), duration_tokens=False
    )
    state = engine.extend(engine.begin(width=32, height=32), "a big red circle moves right")
    frames = next(iter(engine.decode(state)))
    assert state.latents.isfinite().all() and state.latents.std() > 0.1
    assert frames.float().std() > 1

    write_lora(tmp_path / "lora.safetensors", "rehearsal")
    keys = load_file(tmp_path / "lora.safetensors")
    layers = {key.removeprefix("diffusion_model.").rpartition(".lora_")[0] for key in keys}
    weights = engine.dit.state_dict()
    assert layers and all(f"{layer}.weight" in weights for layer in layers)
