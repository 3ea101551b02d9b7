"""`python -m magi_core doctor`: whether everything needed is installed, in a release that works, and how to get what is
not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from magi_core.cli.exit_codes import INCOMPLETE, OK
from magi_core.cli.needed import NEEDED, Needed
from magi_core.cli.say import say

OPTIONAL = {"zstandard": ("zstandard", "reads checkpoints in .zst shards")}
FLASH = {
    "flash-attn 4": "flash_attn.cute",
    "flash-attn 3": "flash_attn_interface",
    "flash-attn 2": "flash_attn.flash_attn_interface",
}
READ_CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "gif", "prores")


@dataclass(frozen=True)
class Finding:
    """One line. good: True, False where something needed is missing or too old, None for what is only worth knowing."""

    good: bool | None
    what: str
    detail: str


def doctor() -> int:
    """Print all findings; 0 when nothing needed is missing or too old, else 1."""
    findings = list(examine())
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = {True: "ok  ", False: "MISS", None: "    "}[finding.good]
        say(f"{mark} {finding.what:<{width}}  {finding.detail}")
    missing = [finding.what for finding in findings if finding.good is False]
    say(f"\nmissing or unfit: {', '.join(missing)}" if missing else "\neverything needed is here")
    return INCOMPLETE if missing else OK


def examine() -> Iterator[Finding]:
    """What is installed on this machine."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(sys.version_info >= (3, 10), "Python", f"{version} on {platform.system()} (3.10 or newer is needed)")
    yield from _packages()
    if _importable("torch"):
        yield from _devices()
        yield from _attention()
    yield _memory()
    if _importable("av"):
        yield from _codecs()
    yield _comfyui()


def find_comfyui() -> Path | None:
    """The ComfyUI named by COMFYUI_PATH, else the one this pack is installed in, else ~/comfy/ComfyUI."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        return Path(named) if is_comfyui(Path(named)) else None
    pack = Path(__file__).absolute().parents[2]
    around = [pack.parents[1]] if pack.parent.name == "custom_nodes" else []
    return next((place for place in (*around, Path.home() / "comfy" / "ComfyUI") if is_comfyui(place)), None)


def is_comfyui(folder: Path) -> bool:
    return (folder / "main.py").is_file() and (folder / "comfy_api").is_dir()


def _packages() -> Iterator[Finding]:
    for needed in NEEDED:
        if not _importable(needed.module):
            yield Finding(False, needed.name, f"not installed: {_mend(needed, 'install')}")
            continue
        version = _version(needed.name)
        fault = needed.fault(version) if version else ""
        rest = (
            f" is here, but {fault}: {_mend(needed, 'install --upgrade')}" if fault else f" ({needed.floor} or newer)"
        )
        yield Finding(not fault, needed.name, (version or "of unknown release") + rest)
    for name, (module, use) in OPTIONAL.items():
        found = _importable(module)
        installed = _version(name) or "installed"
        yield Finding(found or None, name, installed if found else f"optional, {use}: pip install {name}")


def _mend(needed: Needed, command: str) -> str:
    if needed.name == "torch":
        return "get the build that fits your GPU from pytorch.org"
    return f"pip {command} '{needed.asked}'"


def _devices() -> Iterator[Finding]:
    import torch

    from magi_core.weights import pick_device, pick_dtype

    device = pick_device("auto")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        kind = "ROCm" if torch.version.hip else "CUDA"
        name = torch.cuda.get_device_name(index)
        yield Finding(True, f"GPU {index}", f"{name} ({kind}), {_gib(free)} of {_gib(total)} free")
    large = str(pick_dtype("auto", device, 4_500_000_000)).removeprefix("torch.")
    hint = "; large models need a GPU, nano does not" if device.type == "cpu" else ""
    yield Finding(
        True, "device", f"auto is {device}, {torch.get_num_threads()} threads, {large} for large models{hint}"
    )


def _attention() -> Iterator[Finding]:
    from magi_core.attention.choose import get_attention
    from magi_core.attention.flash import flash_attention
    from magi_core.weights import pick_device

    yield Finding(True, "sdpa attention", "in PyTorch")
    for name, module in FLASH.items():
        found = _importable(module)
        yield Finding(found or None, name, "installed" if found else "not installed (optional, NVIDIA GPUs)")
    chosen = "flash_attn" if get_attention("auto", pick_device("auto")) is flash_attention else "sdpa"
    yield Finding(True, "attention", f"auto is {chosen}")


def _memory() -> Finding:
    free_disk = shutil.disk_usage(Path.cwd()).free
    disk = f"{_gib(free_disk)} of disk free here"
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows; macOS knows no free pages
        return Finding(None, "memory", disk)
    return Finding(None, "memory", f"{_gib(total)}, {_gib(free)} unused; {disk}")


def _codecs() -> Iterator[Finding]:
    import av

    from magi_core.video.mp4 import h264_encoder

    encoder = h264_encoder()
    yield Finding(
        encoder is not None,
        "H.264 encoder",
        encoder or "this PyAV has none, so no videos can be written: pip install --force-reinstall av",
    )
    readable = [name for name in READ_CODECS if name in av.codecs_available]
    yield Finding(None, "video formats", f"reads {', '.join(readable)} and more")


def _comfyui() -> Finding:
    found = find_comfyui()
    if found is None:
        named = os.environ.get("COMFYUI_PATH")
        wrong = f"COMFYUI_PATH is {named}, which is not ComfyUI; " if named else ""
        return Finding(
            None,
            "ComfyUI",
            f"{wrong}not found (optional): clone it to ~/comfy/ComfyUI or set COMFYUI_PATH, see docs/development.md",
        )
    return Finding(True, "ComfyUI", f"{_comfyui_version(found)} in {found}")


def _comfyui_version(folder: Path) -> str:
    try:
        match = re.search(r"""version__\s*=\s*["']([^"']+)""", (folder / "comfyui_version.py").read_text("utf-8"))
    except OSError:
        match = None
    return match[1] if match else "unknown version"


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package) or ""
    except importlib.metadata.PackageNotFoundError:
        return ""


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
