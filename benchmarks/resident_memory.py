"""The most memory this process had resident, between two moments."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class ResidentPeak:
    """Peak resident bytes since `reset`: the kernel's own high-water mark, so that nothing is missed between samples.

    Linux forgets the mark on request (proc(5), clear_refs: 5). Where that cannot be asked for, `resets` is False and
    peaks are those of the whole process: what came before, such as loading weights, may then hide growth.
    """

    def __init__(self) -> None:
        self.resets = True
        self.reset()

    def reset(self) -> None:
        try:
            CLEAR.write_text("5")
        except OSError:
            self.resets = False

    @property
    def bytes(self) -> int:
        if self.resets:
            return _status("VmHWM")
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def resident() -> int | None:
    """Bytes resident now; None where /proc is missing."""
    return _status("VmRSS") if STATUS.exists() else None


def _status(name: str) -> int:
    """A line of /proc/self/status that is given in kB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
