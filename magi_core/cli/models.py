"""`python -m magi_core models`: which models are there, what each is, what is missing and where to get it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from magi_core.cli.doctor import find_comfyui
from magi_core.cli.exit_codes import OK
from magi_core.cli.say import say
from magi_core.errors import MagiError
from magi_core.inputs.regular import possible
from magi_core.loading import ASSETS, BUNDLED
from magi_core.weights import ModelFiles, find_models

OWN_FOLDERS = ("models", "downloads", "ckpt")
DOWNLOAD = (
    "official weights: Hugging Face sand-ai/MAGI-1. The smallest useful download is the 4.5B distilled model with VAE "
    "and text encoder:\n  hf download sand-ai/MAGI-1 --include 'ckpt/magi/4.5B_distill/*' 'ckpt/vae/*' 'ckpt/t5/*' "
    "--local-dir models/MAGI-1"
)


def models(folders: Sequence[str] = ()) -> int:
    """List what is in the box, in the usual places, and in `folders`."""
    for folder in folders:
        if not possible(folder, "folder", folder=True).exists():
            raise MagiError(f"there is no folder {folder}: check the path")
    places = search_places(folders)
    bundled = find_models([ASSETS])
    others = [model for model in find_models(places) if model.dit not in {b.dit for b in bundled}]
    for name, (inside, variant) in BUNDLED.items():
        for model in bundled:
            if inside in model.dit.parents and model.variant == variant:
                _show(name, model)
    if not bundled:
        say("nano: not in this copy; get the whole repository")
    for model in others:
        _show(str(model.dit), model)
    if not others:
        say(f"\nno other models in {', '.join(map(str, places)) or 'the usual places'}")
        say(DOWNLOAD)
    named = [Path(folder).absolute() for folder in folders]
    empty = [place for place in named if not any(place in (m.dit, *m.dit.parents) for m in (*bundled, *others))]
    if empty:
        raise MagiError(f"no model in {', '.join(map(str, empty))}: a model folder holds .safetensors weights")
    return OK


def search_places(folders: Sequence[str] = ()) -> list[Path]:
    """Folders to look in: those named, MAGI_MODELS, the usual ones below here, and ComfyUI's models/magi."""
    places = [Path(folder) for folder in folders]
    places += [Path(part) for part in os.environ.get("MAGI_MODELS", "").split(os.pathsep) if part]
    places += [Path(name) for name in OWN_FOLDERS]
    comfyui = find_comfyui()
    if comfyui is not None:
        places.append(comfyui / "models" / "magi")
    return [place for place in places if place.exists()]


def _show(name: str, model: ModelFiles) -> None:
    say(f"{name}: {model.label}")
    if model.problem:
        say(f"  cannot be read: {model.problem}")
        return
    if name != str(model.dit):
        say(f"  transformer: {model.dit}")
    for part, path in (("VAE", model.vae), ("text encoder", model.t5), ("special tokens", model.special_tokens)):
        if path is not None:
            say(f"  {part}: {path}")
    for missing in model.missing:
        say(f"  {missing.part}: MISSING, get it from {missing.where}")
    if model.variant is None:
        say("  say what it is with --variant base or --variant distill")
