"""The stages of the check, each a process of its own, in turn or beside each other; the report as it grows."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tools.comfyui.inside.telling import TRIED, heard
from tools.comfyui.server import base_directory
from tools.comfyui_gpu_check.pack import unpack

REPOSITORY = Path(__file__).parents[2]
TOOL = [sys.executable, "-m", "tools.comfyui_gpu_check"]
INSIDE = [sys.executable, str(REPOSITORY / "tools" / "comfyui" / "inside")]
PYTESTS = [f"tests/{name}.py" for name in ("comfy/test_pack", "comfy/test_memory", "comfy/test_takes")]
PYTESTS += ["tests/unit/dit/test_memory.py"]  # one of it needs a GPU
KORNIA = "tests/comfy/test_memory.py::test_core_nodes_from_a_video_to_a_video"  # its core nodes need what stays behind
QUIET = 100.0  # seconds that one check may take
ROOM = 3.0  # GiB of the GPU that are left where little room is wanted


class Stage(NamedTuple):
    """command: with FLAGS of ComfyUI. alone: nothing else is on the GPU meanwhile, as far as we know. budget: GB that
    the server has, 0: all. parts: of `BudgetChecks`."""

    command: list[str]
    flags: list[str]
    alone: bool = False
    budget: float = 0.0
    parts: tuple[str, ...] = ()


SERVER, TESTS, BUDGET = ["server"], ["tests"], ["budget"]
ESTIMATED = ["--disable-dynamic-vram"]
STAGES = {
    "server, dynamic VRAM": Stage(SERVER, [], alone=True),
    "inside, dynamic VRAM": Stage(INSIDE, []),
    "inside, estimated": Stage(INSIDE, ["--disable-dynamic-vram"]),
    "inside, low VRAM": Stage(INSIDE, ["--disable-dynamic-vram", "--lowvram"]),
    "inside, no VRAM": Stage(INSIDE, ["--disable-dynamic-vram", "--novram"]),
    "server, dynamic VRAM, little room": Stage(SERVER, ["--reserve-vram", "ALL BUT A LITTLE"]),
    "server, low VRAM, little room": Stage(
        SERVER, ["--disable-dynamic-vram", "--lowvram", "--reserve-vram", "ALL BUT A LITTLE"]
    ),
    "server, no VRAM": Stage(SERVER, ["--novram"]),
    "tests, dynamic VRAM": Stage(TESTS, []),
}
BUDGETS = {
    "8 GB, dynamic VRAM": Stage(BUDGET, [], True, 8.0, ("first frame", "no room")),
    "8 GB, estimated": Stage(BUDGET, ESTIMATED, True, 8.0, ("first frame", "no room")),
    "first frame": Stage(BUDGET, [], True, 0.0, ("first frame", "sizes")),
    "12 GB, dynamic VRAM": Stage(BUDGET, [], True, 12.0),
    "24 GB, dynamic VRAM": Stage(BUDGET, [], True, 24.0),
    "12 GB, estimated": Stage(BUDGET, ESTIMATED, True, 12.0),
    "24 GB, estimated": Stage(BUDGET, ESTIMATED, True, 24.0),
}
"""With a model of the official shape, one after the other, in the order of what they are worth."""


def run(folder: Path, out: Path, stages: Iterable[str], seconds: float, cpu: bool, together: bool) -> int:
    """All `stages`, the one that wants to be alone first. Exit status: whether anything failed or was left out."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        place, report = Path(name), Report(out, time.monotonic() + seconds)
        comfyui, site = unpack(folder.absolute(), place)
        (place / "frontend").mkdir()
        (place / "frontend" / "index.html").write_text("<!doctype html><title>no frontend</title>", encoding="utf-8")
        os.environ |= {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1", "COMFYUI_PATH": str(comfyui)}
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
        wanted = {name: (STAGES | BUDGETS)[name] for name in stages}
        try:
            _run_all(_make_models(wanted, place, report, cpu), place, report, cpu, together)
        finally:
            report.deadline = 0.0  # no thread starts another
            for process in report.running:
                _end(process)
    report.show()
    return int(report.failed)


def _make_models(stages: dict[str, Stage], place: Path, report: Report, cpu: bool) -> dict[str, Stage]:
    """The one of some gigabytes beside the first stages; that of the official shape before any, as it takes the GPU.
    Gives the stages that have their model."""
    wanted = {"official": False, "wide": False}
    for stage in stages.values():
        wanted["official" if stage.command is BUDGET else "wide"] = True
    for name, size in (("official", "official"), ("wide", "gigabytes")):
        if wanted[name]:
            command = [*TOOL, "model", str(place / "models" / name), "--size", size]
            making = subprocess.Popen(
                [*command, *(["--rehearsal"] if cpu else [])], cwd=REPOSITORY, preexec_fn=os.setpgrp
            )
            report.running.add(making)
            if name == "official" and making.wait():
                report.add("models", name, {"failed": f"writing it ended with {making.returncode}"})
                return {name: stage for name, stage in stages.items() if stage.command is not BUDGET}
    return stages


def _run_all(stages: dict[str, Stage], place: Path, report: Report, cpu: bool, together: bool) -> None:
    """Without a GPU one after the other: a rehearsal's machine may be small."""
    running = []
    for number, (name, stage) in enumerate(stages.items()):
        flags = [_all_but_a_little(cpu) if flag == "ALL BUT A LITTLE" else flag for flag in stage.flags]
        if cpu:
            flags = ["--cpu"]
        command = _command(stage, place, place / f"base{number}", flags, first=number == 0)
        thread = threading.Thread(target=follow, args=(name, command, report), daemon=True)
        thread.start()
        if cpu or (stage.alone and not together):
            thread.join()
        else:
            running.append(thread)
    for thread in running:
        thread.join()


def _command(stage: Stage, place: Path, base: Path, flags: list[str], first: bool) -> list[str]:
    comfyui, frontend = place / "ComfyUI", ["--front-end-root", str(place / "frontend")]
    if stage.command in (SERVER, BUDGET):
        (base / "models").mkdir(parents=True)
        (base / "models" / "magi").symlink_to(place / "models", target_is_directory=True)
    if stage.command is BUDGET:
        budget = ["--gb", str(stage.budget), "--parts", ",".join(stage.parts)]
        return [*TOOL, "budget", *budget, str(comfyui), str(base), *frontend, *flags]
    if stage.command is SERVER:
        workflows = ["--workflows"] if first else []
        return [*TOOL, "server", *workflows, str(comfyui), str(base), *frontend, *flags]
    if stage.command is TESTS:
        environment = f"COMFYUI_FLAGS={' '.join([*frontend, *flags])}"
        test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "--deselect", KORNIA]
        test += PYTESTS
        return ["env", environment, *test]
    return [*stage.command, str(comfyui), str(base_directory(base)), "--disable-api-nodes", *flags]


def follow(name: str, command: list[str], report: Report) -> None:
    """Run a stage to its end, in as many processes as it takes; what it tells goes into the report."""
    tried: list[str] = []
    while True:
        known, said = len(tried), []
        status = _one_process(name, command, report, tried, said)
        report.log(name, said)
        if status == 0:
            report.add(name, "end", {"found": said[-1].strip() if said else ""})
            return
        if len(tried) == known or time.monotonic() > report.deadline:
            report.add(name, "end", {"failed": f"ended with {status}: {''.join(said[-15:])}"})
            return


def _one_process(name: str, command: list[str], report: Report, tried: list[str], said: list[str]) -> int | str:
    """How it ended. Adds to `tried` the checks that it began, to `said` the lines that are for people."""
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=os.environ | {TRIED: ",".join(tried)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=os.setpgrp,  # a group of its own, to be ended with all that it started
    )
    report.running.add(process)
    current = ""
    for line in _lines(process, report.deadline):
        told = heard(line)
        if told is None:
            said.append(line)
        elif "begin" in told:
            current = told["name"]
        else:
            tried.append(told.pop("name"))
            current = ""
            report.add(name, tried[-1], told)
    status = process.poll() if process.stdout.closed else "not done in time"
    _end(process)
    if current:
        tried.append(current)
        report.add(name, current, {"failed": f"{status}: {''.join(said[-15:])}"})
    return status


def _lines(process: subprocess.Popen[str], deadline: float) -> Iterator[str]:
    """What the process says, line by line, until it ends (and closes its output), a check takes long, or time is up."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        with process.stdout as output:
            for line in output:
                lines.put(line)
        process.wait()
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    heard_last = time.monotonic()
    while True:
        limit = min(deadline, heard_last + QUIET) - time.monotonic()
        try:
            line = lines.get(timeout=max(0.0, limit))
        except queue.Empty:
            return
        if not line:
            return
        if heard(line) is not None:
            heard_last = time.monotonic()
        yield line


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _all_but_a_little(cpu: bool) -> str:
    """GiB to keep free so that a model of some gigabytes does not fit."""
    if cpu:
        return "0"
    code = "import torch; print(torch.cuda.mem_get_info()[1] / 2**30)"
    return f"{float(subprocess.check_output([sys.executable, '-c', code])) - ROOM:.1f}"


class Report:
    """report.json and log.txt, complete at any time."""

    def __init__(self, out: Path, deadline: float) -> None:
        self.out, self.deadline, self.failed = out, deadline, False
        self.found: dict[str, dict[str, Any]] = {}
        self.running: set[subprocess.Popen[Any]] = set()
        self._started, self._lock = time.monotonic(), threading.Lock()

    def add(self, stage: str, check: str, told: dict[str, Any]) -> None:
        with self._lock:
            self.failed |= "failed" in told
            self.found.setdefault(stage, {})[check] = told.get("found", told)
            self.out.joinpath("report.json").write_text(json.dumps(self.found, indent=1), encoding="utf-8")
            seconds = time.monotonic() - self._started
            print(f"{seconds:4.0f} s  {stage}: {check}: {json.dumps(told.get('found', told))[:700]}", flush=True)

    def log(self, stage: str, said: list[str]) -> None:
        with self._lock, self.out.joinpath("log.txt").open("a", encoding="utf-8") as file:
            file.write(f"\n======== {stage}\n{''.join(said)[-300_000:]}\n")

    def show(self) -> None:
        """What failed, once more, in short."""
        for stage, checks in self.found.items():
            for check, found in checks.items():
                if isinstance(found, dict) and "failed" in found:
                    print(f"FAILED {stage}: {check}: ...{found['failed'][-300:]}", flush=True)
