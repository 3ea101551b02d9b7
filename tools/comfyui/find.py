"""Where this machine has a ComfyUI, its interpreter and a browser."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
HOW_TO = "docs/development.md says how to get one"
USUAL_PLACE = Path.home() / "comfy" / "ComfyUI"


def find_comfyui() -> Path | None:
    """The ComfyUI named by COMFYUI_PATH, else the one this pack is installed in, else ~/comfy/ComfyUI."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        return Path(named)
    return next(filter(is_comfyui, (REPOSITORY.parents[1], USUAL_PLACE)), None)


def is_comfyui(folder: Path) -> bool:
    return (folder / "main.py").is_file() and (folder / "comfy_api").is_dir()


def find_chromium() -> str | None:
    named = os.environ.get("CHROMIUM_PATH")
    if named:
        return named
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


def interpreter(comfyui: Path) -> str:
    """The Python that has ComfyUI's dependencies: the tree's own environment, or the one running the tests."""
    places = (comfyui / folder / "bin" / "python" for folder in (".venv", "venv"))
    return next((str(path) for path in places if path.exists()), sys.executable)
