"""Feeds one target until time is up, in a process that may die; says what was found.

A finding is an error other than `MagiError`, an input that takes longer than `SECONDS` or more than `BYTES`, or a
process that died.
"""

from __future__ import annotations

import multiprocessing
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from magi_core.errors import MagiError
from tools.fuzz.mutate import mutated
from tools.fuzz.targets import TARGETS

SECONDS = 20  # for one input, on a busy core
BYTES = 1 << 30


@dataclass
class Hunt:
    """inputs: how many were given; accepted: how many of them were read. findings: what went wrong, and with what."""

    target: str
    inputs: int = 0
    accepted: int = 0
    findings: list[tuple[str, bytes]] = field(default_factory=list)


def hunt(target: str, seconds: float, seed: int, most_findings: int = 5) -> Hunt:
    """Feed `target` for `seconds`; a process that finds or dies is replaced, with other inputs."""
    found, end, round_ = Hunt(target), time.monotonic() + seconds, 0
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        while (left := end - time.monotonic()) > 0 and len(found.findings) < most_findings:
            ours, theirs = spawn.Pipe(duplex=False)
            last = Path(folder) / "input"
            worker = spawn.Process(target=_feed, args=(target, left, f"{seed}.{round_}", last, theirs))
            worker.start()
            theirs.close()
            finding = _heard(ours, found, end + 3 * SECONDS)
            worker.join(SECONDS)
            if worker.is_alive():
                worker.kill()
                worker.join()
                finding = finding or f"no answer for {3 * SECONDS} s"
            elif worker.exitcode and finding is None:
                finding = f"the process died ({worker.exitcode})"
            if finding is not None:
                found.findings.append((finding, last.read_bytes() if last.exists() else b""))
            round_ += 1
    return found


def _heard(pipe: Connection, found: Hunt, until: float) -> str | None:
    """What a process sends: counts, then a finding or the end."""
    try:
        while pipe.poll(max(0.0, until - time.monotonic())):
            match pipe.recv():
                case bool(accepted):
                    found.inputs += 1
                    found.accepted += accepted
                case str(finding):
                    found.inputs += 1
                    return finding
    except EOFError:
        pass
    return None


def _feed(target: str, seconds: float, seed: str, last: Path, pipe: Connection) -> None:
    """All inputs to start from, which bring in libraries, and changed ones for `seconds`."""
    chosen, rng, end = TARGETS[target], random.Random(seed), time.monotonic() + seconds
    inputs = list(chosen.seeds())
    fresh, begun = list(inputs), False
    while fresh or not begun or time.monotonic() < end:
        if not (fresh or begun):
            begun, end = True, max(end, time.monotonic() + seconds / 2)
        content = fresh.pop() if fresh else mutated(inputs, rng)
        last.write_bytes(content)
        folder = Path(tempfile.mkdtemp(dir=last.parent))
        said = given(chosen.read, content, folder)
        shutil.rmtree(folder, ignore_errors=True)
        pipe.send(said)
        if isinstance(said, str):
            return


def given(read: Any, content: bytes, folder: Path) -> bool | str:
    """Whether an input was read (True) or refused (False), or what is wrong."""
    before = _peak()
    try:
        with _alarm():
            accepted = read(content, folder) is not None
    except MagiError:  # bounded and printable, whatever it echoes
        accepted = False
    except BaseException:
        return traceback.format_exc(limit=-6)
    grown = _peak() - before
    return f"{grown >> 20} MiB for an input of {len(content)} bytes" if grown > BYTES else accepted


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(_number: int, _frame: Any) -> None:
        raise TimeoutError(f"one input took more than {SECONDS} s")

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
