"""Many processes that each hold the engine and judge cases; they share the GPUs, or the cores of the CPU."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import torch

import magi_core
from magi_core import Engine, Guidance
from tools.nano.cases import Case
from tools.nano.filming import judged
from tools.nano.judging import Findings

Task = tuple[Case, str]
"""A case, and where its video comes from (see `filming.SOURCES`)."""

PATIENCE = 5.0  # seconds between looks at the clock while nothing arrives


@dataclass(frozen=True)
class ModelChoice:
    """Which engine to load. settings: sampling settings that differ from the model's own, as read from JSON."""

    model: str
    variant: str = "auto"
    device: str = "cpu"
    dtype: str = "auto"
    settings: dict[str, Any] | None = None

    def load(self) -> Engine:
        dtype = self.dtype if self.dtype in ("auto", "fp8") else getattr(torch, self.dtype)
        engine = magi_core.load(self.model, variant=self.variant, device=self.device, dtype=dtype)
        changes = dict(self.settings or {})
        if "guidance" in changes:
            changes["guidance"] = Guidance(**{name: tuple(values) for name, values in changes["guidance"].items()})
        return engine.with_settings(**changes)


_CHOICE: list[ModelChoice] = []  # of this worker


def judge_all(
    choice: ModelChoice, tasks: Sequence[Task], workers: int, seconds: float
) -> Iterator[tuple[Task, Findings]]:
    """Findings of all tasks as they come, in any order; none that would come later than `seconds` from now."""
    deadline = time.monotonic() + seconds
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start, (choice, context.Value("i", 0))) as pool:
        arriving = pool.imap_unordered(_run, list(enumerate(tasks)))
        waiting = len(tasks)
        while waiting and time.monotonic() < deadline:
            try:
                index, found = arriving.next(timeout=PATIENCE)
            except multiprocessing.TimeoutError:
                continue
            waiting -= 1
            yield tasks[index], found


def in_good_order(tasks: Sequence[Task]) -> list[Task]:
    """Long videos first, because one of them lasts as long as many others; then all rows evenly mixed, so that a
    part of the tasks is a fair part of every row."""
    rows = [list(group) for _, group in groupby(sorted(tasks, key=_row), key=_row)]
    placed = [(-1.0 if len(t[0].chunks) > 12 else i / len(row), t) for row in rows for i, t in enumerate(row)]
    return [task for _, task in sorted(placed, key=lambda item: item[0])]


def _row(task: Task) -> tuple[str, str]:
    return task[0].row, task[1]


def _start(choice: ModelChoice, started: Any) -> None:
    """One worker: its number decides which GPU it works on."""
    torch.set_num_threads(1)
    with started.get_lock():
        number, started.value = started.value, started.value + 1
    if choice.device == "cuda":
        choice = replace(choice, device=f"cuda:{number % torch.cuda.device_count()}")
    _CHOICE.append(choice)


@lru_cache(maxsize=1)
def _engine() -> Engine:
    """Loaded with the first task, so that what goes wrong is reported; a pool starts failing workers again for ever."""
    return _CHOICE[0].load()


def _run(numbered: tuple[int, Task]) -> tuple[int, Findings]:
    index, (case, source) = numbered
    return index, judged(_engine(), case, source)
