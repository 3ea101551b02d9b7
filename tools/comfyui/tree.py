"""ComfyUI's files: cloned from a repository, copied from a folder, or taken where they are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tools.comfyui.find import is_comfyui

REPOSITORY_URL = "https://github.com/comfyanonymous/ComfyUI"
VERSION = "v0.33.0"  # the release everything was tested with
DISPENSABLE = re.compile(r"comfy/text_encoders/\w+_tokenizer/")
"""Large files that some copies of the repository lack; no test needs the text encoders that they belong to."""


class NoTree(Exception):
    """There is no ComfyUI to be had there; the message says why, and what to do."""


def provide_tree(source: str | None, revision: str | None, target: Path) -> str:
    """Sees to it that `target` is a ComfyUI tree; says what was done. A tree that is there already stays as it is.

    source: a folder, or the address or path of a repository; without one, the official repository.
    revision: of a repository; without one, its default branch, and `VERSION` of the official one.
    """
    if is_comfyui(target):
        return f"{target} is a ComfyUI already: its files stay as they are"
    if target.exists() and any(target.iterdir()):
        raise NoTree(f"{target} holds other files: choose an empty folder with --to")
    if source is None:
        _clone(REPOSITORY_URL, target, "--depth", "1", "--branch", revision or VERSION)
        return f"cloned {revision or VERSION} of {REPOSITORY_URL}"
    folder = Path(source).expanduser()
    if folder.is_dir() and not _is_repository(folder):
        if not is_comfyui(folder):
            raise NoTree(f"{folder} is neither a ComfyUI (main.py, comfy_api) nor a git repository")
        shutil.copytree(folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".venv", "venv"))
        return f"copied {folder}"
    _clone(str(folder) if folder.is_dir() else source, target, *(["--branch", revision] if revision else []))
    return f"cloned {source}"


def _clone(source: str, target: Path, *options: str) -> None:
    """Raises `NoTree`, and leaves nothing behind, where that fails or what comes is not ComfyUI."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _git("clone", "--quiet", "--no-checkout", *options, source, str(target))
        missing = _missing(target)
        if needed := [path for path in missing if not DISPENSABLE.match(path)]:
            raise NoTree(f"{source} is incomplete, it lacks {', '.join(needed[:3])}: choose another copy")
        if missing:
            print(f"left out, because {source} lacks them: {', '.join(missing)}")
            _git("-C", str(target), "sparse-checkout", "set", "--no-cone", "/*", *(f"!/{path}" for path in missing))
        _git("-C", str(target), "checkout", "--quiet")
        if not is_comfyui(target):
            raise NoTree(f"{source} is not ComfyUI: main.py and comfy_api are not in it")
    except NoTree:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _missing(clone: Path) -> list[str]:
    """Paths of HEAD whose content the clone does not have."""
    entries = _git("-C", str(clone), "ls-tree", "-r", "HEAD").splitlines()
    paths = {about.split()[2]: path for about, _, path in (entry.partition("\t") for entry in entries)}
    said = _git("-C", str(clone), "cat-file", "--batch-check", given="\n".join(paths))
    return [paths[line.split()[0]] for line in said.splitlines() if line.endswith(" missing")]


def _is_repository(folder: Path) -> bool:
    return (folder / ".git").exists() or (folder / "HEAD").is_file()


def _git(*arguments: str, given: str = "") -> str:
    done = subprocess.run(["git", *arguments], input=given, capture_output=True, text=True)
    if done.returncode:
        raise NoTree(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
