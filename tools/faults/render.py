"""A render of the command line in a process of its own that can be killed at any moment, with a tiny model.

The process is forked, so that no kill costs a start of Python; it tells over a pipe what it has finished.
"""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from magi_core.cli.main import main
from magi_core.state import Autosave
from magi_core.video.recording import VideoRecording
from tools.small_models import tiny_engine

TAKE, VIDEO = "take.magi", "a.mp4"
SAVED, SHOWN, INDEXING = b"t", b"v", b"i"  # a chunk is in the take, is in the video; the last rewrite begins
STEPS = 4


class Render:
    """`python -m magi_core` with `words` in `folder`, running from now on."""

    def __init__(self, folder: Path, words: list[str]) -> None:
        self.folder, self.events = folder, b""
        self._pipe, tell = os.pipe()
        self.process = os.fork()
        if not self.process:
            os.close(self._pipe)
            _run(folder, words, tell)
        os.close(tell)

    def follow(self, until: Callable[[bytes], bool], limit: float = 300.0) -> None:
        """Read what it tells until `until` holds for all of it, or it has ended."""
        last = time.monotonic() + limit
        while not until(self.events) and time.monotonic() < last:
            if select.select([self._pipe], [], [], 0.5)[0]:
                told = os.read(self._pipe, 4096)
                self.events += told
                if not told:
                    return

    def interrupt(self) -> None:
        os.kill(self.process, signal.SIGINT)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)

    def end(self) -> int:
        """Wait for its end; its exit code, or the negative number of the signal."""
        self.follow(lambda _: False)
        os.close(self._pipe)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    @property
    def said(self) -> str:
        return (self.folder.parent / f"{self.folder.name}.log").read_text("utf-8")


def render_words(chunks: int) -> list[str]:
    """A render of `chunks` chunks, two prompts, into a take and a video."""
    size = ["--width", "32", "--height", "32", "--seed", "7"]
    return ["render", "red", "blue", "--chunks", str(chunks), *size, "--save", TAKE, "--out", VIDEO]


def resume_words() -> list[str]:
    return ["extend", TAKE, "--out", VIDEO]


def _run(folder: Path, words: list[str], tell: int) -> None:
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        log = os.open(folder.parent / f"{folder.name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(folder)
        _tell_after(Autosave, "write", SAVED, tell)
        _tell_after(VideoRecording, "flush", SHOWN, tell)
        _tell_before(VideoRecording, "_index", INDEXING, tell)
        code = main(words, load=lambda *_, **__: tiny_engine(steps=STEPS))
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _tell_after(kind: Any, name: str, event: bytes, tell: int) -> None:
    plain = getattr(kind, name)

    def told(self: Any, *given: Any) -> None:
        plain(self, *given)
        os.write(tell, event)

    setattr(kind, name, told)


def _tell_before(kind: Any, name: str, event: bytes, tell: int) -> None:
    plain = getattr(kind, name)

    def told(self: Any) -> Any:
        os.write(tell, event)
        return plain(self)

    setattr(kind, name, told)
