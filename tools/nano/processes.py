"""The processes of one training run, as `torchrun` starts them: one per GPU. Without it, one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
import torch.distributed as dist


def join() -> torch.device:
    """Join the other processes, where there are any; returns this one's device."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if "LOCAL_RANK" in os.environ:
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def leave() -> None:
    """Part from the other processes, together: one that goes while another is still at work brings it down."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def agree(done: bool, device: torch.device) -> bool:
    """True in all processes as soon as one of them is done, so that all stop at the same step."""
    if not dist.is_initialized():
        return done
    flag = torch.tensor([float(done)], device=device)
    dist.all_reduce(flag)
    return bool(flag.item() > 0)


def arrival(file: Path, minutes: float) -> Path:
    """`file`, as soon as another process has written it; TimeoutError after `minutes`."""
    until = time.monotonic() + 60 * minutes
    while not file.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"{file} did not come within {minutes:g} minutes")
        time.sleep(0.1)
    return file
