"""The memory that a piece of work takes in a process of its own, all libraries included."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
_FRAME = """
import resource, torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
{code}
except Exception as error:
    print(type(error).__name__)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def resident_peak(code: str, *, seconds: float = 120) -> int:
    """Bytes by which the largest resident size of a new process grows while it runs `code`, errors included."""
    code = _FRAME.format(code=textwrap.indent(textwrap.dedent(code).strip(), "    "))
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=seconds, check=True
    )
    return int(done.stdout.split()[-1])
