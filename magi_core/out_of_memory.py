"""Whether an error says that memory ran out, of the device or the host."""

from __future__ import annotations

SAYINGS = ("out of memory", "can't allocate memory", "cannot allocate memory")  # of PyTorch's allocators, in lower case


def is_out_of_memory(error: BaseException | None) -> bool:
    """Also where the error was raised on account of one that says so."""
    while error is not None:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and any(saying in str(error).lower() for saying in SAYINGS):
            return True
        error = error.__cause__
    return False
