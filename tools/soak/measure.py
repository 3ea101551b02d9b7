"""What a process takes, over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """memory: resident, in MiB. handles: open files and sockets."""

    minute: float
    memory: float
    threads: int
    handles: int

    @classmethod
    def of(cls, process: int, minute: float) -> Sample:
        """Linux only: read from /proc."""
        lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
        words = dict(line.split(":", 1) for line in lines)
        handles = len(list(Path(f"/proc/{process}/fd").iterdir()))
        return cls(minute, int(words["VmRSS"].split()[0]) / 1024, int(words["Threads"]), handles)


def median(samples: list[Sample], kind: str) -> float:
    values = sorted(getattr(sample, kind) for sample in samples)
    return values[len(values) // 2]
