"""What memory this process takes: resident, at most between two moments, and in use."""

from __future__ import annotations

import ctypes
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


def allocated() -> int | None:
    """Bytes that malloc has handed out and not been given back: `resident` without what it keeps for later.

    None where the C library is not glibc 2.33 or newer (mallinfo2(3): hblkhd and uordblks).
    """
    try:
        mallinfo2 = ctypes.CDLL("libc.so.6").mallinfo2
    except (OSError, AttributeError):
        return None
    mallinfo2.restype = _MallInfo2
    found = mallinfo2()
    return found.hblkhd + found.uordblks


class _MallInfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def resident() -> int | None:
    """Bytes resident now; None where /proc is missing."""
    return _status("VmRSS") if STATUS.exists() else None


def _status(name: str) -> int:
    """A line of /proc/self/status that is given in kB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
