"""Takes so much of a GPU's memory that only a budget is left of it, for whoever comes next: all of a process counts
then, its context included, and whatever allocates meets the end of a small card.

    python -m tools.comfyui_gpu_check.ballast BYTES    # says what is left, then holds the rest until its input ends

Straight from the driver: PyTorch would take longer to import than this takes.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PIECE = 1 << 26  # bytes taken at a time at last


@contextmanager
def only(budget: int) -> Iterator[int]:
    """Of the GPU, `budget` bytes are left meanwhile; yields the bytes that are, all kept by another process."""
    command = [sys.executable, "-m", "tools.comfyui_gpu_check.ballast", str(budget)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin and holder.stdout
        said = holder.stdout.readline()
        if not said:
            raise RuntimeError(f"the GPU's memory was not taken: {holder.wait()}")
        try:
            yield int(said)
        finally:
            holder.stdin.close()


def main() -> None:
    budget, driver = int(sys.argv[1]), ctypes.CDLL("libcuda.so.1")
    device, context, piece = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
    _done(driver.cuInit(0))
    _done(driver.cuDeviceGet(ctypes.byref(device), 0))
    _done(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
    _done(driver.cuCtxSetCurrent(context))
    driver.cuMemAlloc_v2.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t]
    size = 1 << 33
    while size >= PIECE:
        if _free(driver) - size >= budget and driver.cuMemAlloc_v2(ctypes.byref(piece), size) == 0:
            continue
        size //= 2
    print(_free(driver), flush=True)
    sys.stdin.read()


def _free(driver: ctypes.CDLL) -> int:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _done(driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)))
    return free.value


def _done(status: int) -> None:
    if status:
        raise RuntimeError(f"the driver answers {status}")


if __name__ == "__main__":
    main()
