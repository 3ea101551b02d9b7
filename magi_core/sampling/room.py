"""Whether a run can fit its device at all, asked before any work."""

from __future__ import annotations

import torch

from magi_core.errors import MagiError
from magi_core.host import Host
from magi_core.host_memory import available_memory, physical_memory
from magi_core.sampling.extension import Extension, Piece

GB = 1e9


def check_room(extension: Extension, host: Host, device: torch.device, remembered: int = 0) -> None:
    """Raise `MagiError` where one forward alone takes more than all of the device's memory, a run more than its host
    can make room for, or its streamed pages more than there is of main memory.

    Without such a host, what is kept between forwards (pages, weights) may lie elsewhere and is not counted. Devices
    whose memory is not known pass. remembered: bytes of pages that lie in main memory already.
    """
    if not any(isinstance(part, Piece) for part in extension.parts):
        return
    state, bounded = extension.begun, host.room()
    if bounded is not None and extension.need.total > bounded:
        raise MagiError(
            f"{state.width}x{state.height} does not fit the memory there is on {device}, not even with the model's "
            f"blocks waiting in main memory: a run takes {extension.need.total / GB:.1f} GB beside what must stay "
            f"there, which leaves {max(bounded, 0) / GB:.1f}. Make width and height smaller, lower the window "
            f"(chunks in the works at a time) or the KV ranges, or allow more memory"
        )
    free, waiting = available_memory(), extension.need.in_main_memory
    if free is not None and waiting > free + remembered:
        raise MagiError(
            f"{state.width}x{state.height} does not fit here: the K/V that a run reads finds no room on {device} and "
            f"takes {waiting / GB:.1f} GB of main memory, of which {free / GB:.1f} are free. Close other programs, "
            "make width and height smaller, lower the KV ranges, or leave a light draft out"
        )
    there, need = _memory_of(device), extension.need.activations
    if there is None or need <= there:
        return
    raise MagiError(
        f"{state.width}x{state.height} is too large here: one step over {state.settings.window} chunks takes about "
        f"{need / GB:.0f} GB of memory, and {device} has {there / GB:.0f}. Make width and height smaller, or lower the "
        "window (chunks in the works at a time)"
    )


def _memory_of(device: torch.device) -> int | None:
    """Bytes of memory of a device, used or free."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return physical_memory()
