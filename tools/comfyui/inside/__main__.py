"""Runs inside ComfyUI's own interpreter: `python tools/comfyui/inside COMFYUI BASE [FLAGS]`.

BASE is a base directory of its own; FLAGS are ComfyUI's, `--cpu` where there are none. Dynamic VRAM is on where ComfyUI
itself would have it on.

Every function of the check modules whose name begins with `check_` is called; what they return, or how they failed, is
told at once (`telling`). The tests beside this folder read it, and so does `tools.comfyui_gpu_check`.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from telling import run_checks


def main() -> int:
    comfyui, base = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.argv = ["main.py", *(sys.argv[3:] or ["--cpu"]), "--base-directory", base]
    os.chdir(comfyui)
    sys.path.insert(0, comfyui)
    import comfy.options

    comfy.options.enable_args_parsing()
    _enable_dynamic_vram()
    import_module("pack")  # before the checks
    import_module("torch").backends.cudnn.allow_tf32 = False  # ComfyUI's results are compared with the CPU's
    modules = [import_module(name) for name in ("placement_checks", "users_checks")]
    return run_checks(
        (name.removeprefix("check_"), check)
        for module in modules
        for name, check in vars(module).items()
        if name.startswith("check_")
    )


def _enable_dynamic_vram() -> None:
    """As ComfyUI's main.py does it, which cannot be imported."""
    from comfy.cli_args import enables_dynamic_vram

    if not enables_dynamic_vram():
        return
    import comfy_aimdo.control

    comfy_aimdo.control.init()
    import comfy.memory_management
    import comfy.model_management as management
    import comfy.model_patcher

    devices = management.get_all_torch_devices()
    if management.is_nvidia() and comfy_aimdo.control.init_devices((device.index, 0) for device in devices):
        comfy.model_patcher.CoreModelPatcher = comfy.model_patcher.ModelPatcherDynamic
        comfy.memory_management.aimdo_enabled = True


if __name__ == "__main__":
    sys.exit(main())
