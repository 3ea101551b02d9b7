"""Runs the pack inside ComfyUI on a GPU, in each of its ways to place weights, on a machine that has no ComfyUI.

    python -m tools.comfyui_gpu_check pack COMFYUI FOLDER    # where ComfyUI and its Python environment are
    python -m tools.comfyui_gpu_check run FOLDER             # where the GPU is; FOLDER is what `pack` wrote

`pack` writes a small copy of ComfyUI and of the packages of its own that it starts with. Other packages that it imports
and the machine lacks (codecs, databases) are stood in for by empty ones: what is checked does not use them. `run`
prints what every check of `tests/comfy/inside` found: distances to the model without ComfyUI, memory in MiB as
[PyTorch's own, all that is taken]. `run --cpu` rehearses it, stand-ins included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
WAYS = {
    "dynamic VRAM": [],
    "estimated": ["--disable-dynamic-vram"],
    "low VRAM": ["--disable-dynamic-vram", "--lowvram"],
    "no VRAM": ["--disable-dynamic-vram", "--novram"],
}
LIMIT = 240  # seconds for one way
LEFT_OUT = (".git", ".venv", "venv", "models", "input", "output", "user", "temp", "tests", "tests-unit", "__pycache__")
HEAVY = ("qwen25_tokenizer", "qwen35_tokenizer", "llama_tokenizer", "ace_lyrics_tokenizer", "hydit_clip_tokenizer")
PACKAGES = ("comfy_aimdo", "comfy_kitchen", "torchsde", "trampoline", "bs4", "soupsieve", "ftfy", "wcwidth")
STAND_INS = '''
"""Empty packages in place of those this machine lacks."""
import importlib.abc, importlib.machinery, importlib.util, sys, types

NAMES = {names!r}

class Anything(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return cls
    def __call__(cls, *args, **options):
        return args[0] if len(args) == 1 and isinstance(args[0], types.FunctionType) else type.__call__(cls)
    def __or__(cls, other): return cls
    __ror__ = __or__
    def __getitem__(cls, key): return cls
    def __iter__(cls): return iter(())

class Nothing(metaclass=Anything):
    def __init_subclass__(cls, **options): pass
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing
    def __call__(self, *args, **options): return Nothing
    def __getitem__(self, key): return Nothing

class Module(types.ModuleType):
    __path__ = []
    __version__ = "99"
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec): return Module(spec.name)
    def exec_module(self, module): pass

sys.meta_path.insert({place}, Finder())
'''
LACKING = ("av", "alembic", "sqlalchemy", "simpleeval", "blake3", "kornia", "spandrel", "OpenGL")
LACKING += ("pydantic", "pydantic_core", "pydantic_settings", "annotated_types")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("comfyui", type=Path)
    packing.add_argument("folder", type=Path)
    packing.add_argument("--packages", type=Path, help="site-packages to take them from (default: ComfyUI's own)")
    running = commands.add_parser("run")
    running.add_argument("folder", type=Path)
    running.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    running.add_argument("--cpu", action="store_true", help="a dry run")
    running.add_argument("--report", type=Path, help="JSON file for everything that was found")
    options = parser.parse_args(arguments)
    if options.command == "pack":
        pack(options.comfyui.expanduser(), options.folder, options.packages)
        return 0
    ways = {"CPU": ["--cpu"]} if options.cpu else {name: WAYS[name] for name in options.ways}
    found = run(options.folder.absolute(), ways)
    if options.report:
        options.report.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return int(any("failed" in str(result) for result in found.values()))


def pack(comfyui: Path, folder: Path, packages: Path | None) -> None:
    """Write `comfyui.tar.gz` and `site.tar.gz` into `folder`: a few MB."""
    folder.mkdir(parents=True, exist_ok=True)
    packages = packages or next((comfyui / ".venv" / "lib").glob("python3*/site-packages"))
    with tarfile.open(folder / "comfyui.tar.gz", "w:gz") as archive:
        for path in sorted(comfyui.iterdir()):
            if path.name not in LEFT_OUT:
                archive.add(path, path.name, filter=_light)
    with tarfile.open(folder / "site.tar.gz", "w:gz") as archive:
        for name in PACKAGES:
            for path in sorted(packages.glob(f"{name}*")):
                archive.add(path, path.name, filter=_light)
    for file in sorted(folder.glob("*.tar.gz")):
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


def run(folder: Path, ways: dict[str, list[str]]) -> dict[str, Any]:
    """Unpack and run every way in a process of its own; prints and returns what they found."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        comfyui, site = Path(place) / "ComfyUI", Path(place) / "site"
        for archive, target in (("comfyui", comfyui), ("site", site)):
            with tarfile.open(folder / f"{archive}.tar.gz") as packed:
                packed.extractall(target, filter="data")
        stand_ins = STAND_INS.format(names=set(LACKING), place=0 if "CPU" in ways else 999)
        (site / "sitecustomize.py").write_text(stand_ins, encoding="utf-8")
        for name, flags in ways.items():
            print(f"\n== {name}", flush=True)
            found[name] = _checked(comfyui, site, Path(place) / "base", flags)
            for check, result in found[name].items():
                print(f"{check}: {result['failed'] if 'failed' in str(result)[:12] else result}", flush=True)
    return found


def _checked(comfyui: Path, site: Path, base: Path, flags: list[str]) -> dict[str, Any]:
    shutil.rmtree(base, ignore_errors=True)
    (base / "custom_nodes").mkdir(parents=True)
    (base / "input").mkdir()
    command = [sys.executable, str(REPOSITORY / "tests" / "comfy" / "inside"), str(comfyui), str(base)]
    environment = os.environ | {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
    command += ["--disable-api-nodes", *flags]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return {"start": {"failed": f"not done after {LIMIT} s"}}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return {"start": {"failed": (done.stdout + done.stderr)[-3000:]}}


def _light(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(entry.name).parts
    if "__pycache__" in parts or any(heavy in parts for heavy in HEAVY):
        return None
    compiled = parts[0] == "comfy_kitchen" and entry.isfile() and not entry.name.endswith(".py")
    return None if compiled or entry.size > 8_000_000 else entry


if __name__ == "__main__":
    sys.exit(main())
