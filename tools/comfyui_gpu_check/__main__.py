"""Runs the pack inside a real ComfyUI on a GPU, on a machine that has PyTorch but neither ComfyUI nor a network.

    python -m tools.comfyui_gpu_check pack COMFYUI FOLDER    # where ComfyUI and a package index are
    python -m tools.comfyui_gpu_check run FOLDER OUT         # where the GPU is; FOLDER is what `pack` wrote

`pack` writes ComfyUI and the packages that such a machine lacks into two archives. `run` starts ComfyUI there in each
of its ways to place weights: as a server, which is given the shipped workflows and a model of some gigabytes, and as
a process of its own (`tools/comfyui/inside`); and it runs those of `tests/comfy` that need no browser. Everything
that was found is in OUT/report.json as soon as it is known, what the processes said in OUT/log.txt. A check that
fails, hangs or takes its process down costs only itself. `run --cpu` rehearses all of it.

`run --budgets` does something else: a model of the official 4.5B shape with its VAE and T5-XXL, from a prompt to an mp4
in a server that has 8, 12 and 24 GB of the GPU, another process holding the rest; what is said where memory runs out;
and how soon another prompt shows something, beside the forwards of its first chunk.

Memory is in MiB: what PyTorch has allocated, what the process holds on the GPU (by ComfyUI's own count, and by the
driver's, where it gives one), and all that is taken there, by whomever.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.comfyui_gpu_check.official_model import write_official_model
from tools.comfyui_gpu_check.pack import pack
from tools.comfyui_gpu_check.run import BUDGETS, STAGES, run
from tools.comfyui_gpu_check.wide_model import write_wide_model


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("comfyui", type=Path)
    packing.add_argument("folder", type=Path)
    packing.add_argument("--python", default="3.12", help="of the machine with the GPU")
    running = commands.add_parser("run")
    running.add_argument("folder", type=Path)
    running.add_argument("out", type=Path)
    running.add_argument("--stages", nargs="*", choices=[*STAGES, *BUDGETS], default=list(STAGES))
    running.add_argument("--budgets", dest="stages", action="store_const", const=list(BUDGETS), help="these stages")
    running.add_argument("--seconds", type=float, default=240.0, help="for all of it; what is left out is said")
    running.add_argument("--together", action="store_true", help="all stages at once: sooner, the GPU shared")
    running.add_argument("--cpu", action="store_true", help="a rehearsal without a GPU")
    serving = commands.add_parser("server", help="one stage of `run`")
    serving.add_argument("comfyui", type=Path)
    serving.add_argument("base", type=Path)
    serving.add_argument("--workflows", action="store_true", help="the shipped ones as well")
    bounding = commands.add_parser("budget", help="one of the stages with a budget")
    bounding.add_argument("comfyui", type=Path)
    bounding.add_argument("base", type=Path)
    bounding.add_argument("--gb", type=float, default=0.0, help="of the GPU, for the whole server; 0: all")
    bounding.add_argument("--parts", default="", help="of its checks, with commas")
    writing = commands.add_parser("model", help="a model that `run` uses")
    writing.add_argument("folder", type=Path)
    writing.add_argument("--size", choices=["gigabytes", "official"], default="gigabytes")
    writing.add_argument("--rehearsal", action="store_true", help="a small one in its place")
    options, flags = parser.parse_known_args(arguments)
    if flags and options.command not in ("server", "budget"):
        parser.error(f"unknown arguments: {' '.join(flags)}")
    if options.command == "pack":
        pack(options.comfyui.expanduser(), options.folder, options.python)
    elif options.command == "model" and options.size == "official":
        write_official_model(options.folder, options.rehearsal)
    elif options.command == "model":
        write_wide_model(options.folder, "rehearsal" if options.rehearsal else options.size)
    elif options.command == "budget":
        from tools.comfyui_gpu_check.budget_checks import check_budget  # needs what `run` unpacks

        return check_budget(options.comfyui, options.base, flags, options.gb, options.parts.split(","))
    elif options.command == "server":
        from tools.comfyui_gpu_check.server_checks import check_server  # needs what `run` unpacks

        return check_server(options.comfyui, options.base, flags, options.workflows)
    else:
        return run(options.folder, options.out, options.stages, options.seconds, options.cpu, options.together)
    return 0


if __name__ == "__main__":
    sys.exit(main())
