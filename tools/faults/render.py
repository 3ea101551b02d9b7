"""A render of the command line in a process of its own that can be killed at any moment, with a tiny model.

The process is forked, so that no kill costs a start of Python; it tells over a pipe what it has finished.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
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
    """`python -m magi_core` with `words` in `folder`, running from now on. before: called in the process first."""

    def __init__(self, folder: Path, words: list[str], before: Callable[[], object] = lambda: None) -> None:
        self.events, self._said = b"", b""
        self._pipe, tell = os.pipe()
        self._words, say = os.pipe()
        self.process = os.fork()
        if not self.process:
            os.close(self._pipe)
            os.close(self._words)
            _run(folder, words, before, tell, say)
        os.close(tell)
        os.close(say)

    def follow(self, until: Callable[[bytes], bool], limit: float = 1800.0) -> None:
        """Read what it tells until `until` holds for all of it, or it has ended."""
        last = time.monotonic() + limit
        while not until(self.events) and time.monotonic() < last:
            ready = select.select([self._pipe, self._words], [], [], 0.5)[0]
            told = os.read(self._pipe, 4096) if self._pipe in ready else b""
            said = os.read(self._words, 4096) if self._words in ready else b""
            self.events, self._said = self.events + told, self._said + said
            if ready and not told and not said:
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
        os.close(self._words)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    @property
    def said(self) -> str:
        """All that it printed."""
        return self._said.decode("utf-8", "replace")


def render_words(chunks: int) -> list[str]:
    """A render of `chunks` chunks, two prompts, into a take and a video."""
    size = ["--width", "32", "--height", "32", "--seed", "7"]
    return ["render", "red", "blue", "--chunks", str(chunks), *size, "--save", TAKE, "--out", VIDEO]


def resume_words() -> list[str]:
    return ["extend", TAKE, "--out", VIDEO]


def _run(folder: Path, words: list[str], before: Callable[[], object], tell: int, say: int) -> None:
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(say, 1)
        os.dup2(say, 2)
        sys.stdout = sys.stderr = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", line_buffering=True)
        os.chdir(folder)
        _tell_after(Autosave, "write", SAVED, tell, lambda take: take._latest and take._latest.finished)
        _tell_after(VideoRecording, "flush", SHOWN, tell, lambda recording: recording.frames)
        _tell_before(VideoRecording, "_index", INDEXING, tell)
        before()
        code = main(words, load=lambda *_, **__: tiny_engine(steps=STEPS))
    except BaseException:
        os.write(say, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        os._exit(code)


def _tell_after(kind: Any, name: str, event: bytes, tell: int, what: Callable[[Any], object]) -> None:
    """Tell of every call that changed `what`."""
    plain = getattr(kind, name)

    def told(self: Any, *given: Any) -> None:
        before = what(self)
        plain(self, *given)
        if what(self) != before:
            os.write(tell, event)

    setattr(kind, name, told)


def _tell_before(kind: Any, name: str, event: bytes, tell: int) -> None:
    plain = getattr(kind, name)

    def told(self: Any) -> Any:
        os.write(tell, event)
        return plain(self)

    setattr(kind, name, told)
