"""Loads a checkpoint and prints time and peak anonymous host memory beside the checkpoint's size (Linux).

    python -m tools.measure_load FOLDER [--variant distill] [--device cpu] [--dtype auto]

Anonymous memory is what loading costs: pages of the memory-mapped files themselves can be dropped by the
system at any time and do not count. Ends with status 1 when the peak is above 1.2 times the checkpoint's
size.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from pathlib import Path

import torch

import magi_core
from magi_core.weights import find_model, read_tensors

LIMIT = 1.2  # of the checkpoint's size
INTERVAL = 0.01  # seconds between two looks at the process's memory


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variant", default="auto", choices=("auto", "base", "distill"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    options = parser.parse_args(arguments)

    files = find_model(options.folder, options.variant)
    size = sum(header.nbytes for header in read_tensors(files.dit).headers.values())
    before = anonymous_bytes()
    started = time.perf_counter()
    with PeakMemory() as peak:
        engine = magi_core.load(options.folder, variant=options.variant, device=options.device, dtype=options.dtype)
        loaded = time.perf_counter() - started
        parameters = list(engine.dit.parameters())
        finite = all(bool(torch.isfinite(p.flatten()[-1].float()).all()) for p in parameters)
    ratio = peak.bytes / size
    print(f"{files.dit}: {files.label}, {size / 1e9:.2f} GB, {len(parameters)} tensors")
    print(f"loaded in {loaded:.2f} s on {options.device}, blocks in {engine.dit.dtype}, values finite: {finite}")
    print(
        f"anonymous memory: {before / 1e9:.2f} GB before, {peak.bytes / 1e9:.2f} GB at its peak "
        f"= {ratio:.2f} x the checkpoint (limit {LIMIT})"
    )
    return int(ratio > LIMIT or not finite)


def anonymous_bytes() -> int:
    """Anonymous resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(r"RssAnon:\s+(\d+) kB", status)
    if match is None:
        raise OSError("this system does not report RssAnon")
    return int(match[1]) * 1024


class PeakMemory:
    """Watches anonymous memory from a thread; `bytes` is the highest value seen."""

    def __enter__(self) -> PeakMemory:
        self.bytes, self._done = anonymous_bytes(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.bytes = max(self.bytes, anonymous_bytes())

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            self.bytes = max(self.bytes, anonymous_bytes())


if __name__ == "__main__":
    sys.exit(main())
