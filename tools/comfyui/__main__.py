"""Gets a ComfyUI for the tests: its files, an environment that runs it, and a check that it starts.

    python -m tools.comfyui install                         # the official repository, into ~/comfy/ComfyUI
    python -m tools.comfyui install SOURCE --to FOLDER      # SOURCE: a folder, or a repository's address or path
    python -m tools.comfyui frontend 1.58.1                 # another release of its frontend, and how to test with it

What is there already stays: a second call completes what the first could not do, or only checks. About three minutes
and 2.5 GB with the CPU build of torch; no GPU is needed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.comfyui.environment import NoEnvironment, provide_environment
from tools.comfyui.find import USUAL_PLACE, find_chromium, find_comfyui
from tools.comfyui.other_frontend import NoFrontend, provide_frontend
from tools.comfyui.server import base_directory, free_port
from tools.comfyui.tree import NoTree, provide_tree

START_LIMIT = 300.0  # seconds; a first start compiles Python files


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.comfyui", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("frontend").add_argument("release", help="of comfyui-frontend-package")
    installing = commands.add_parser("install")
    installing.add_argument("source", nargs="?", help="a ComfyUI folder, or the address or path of a repository")
    installing.add_argument("--to", type=Path, default=USUAL_PLACE, help=f"where it goes (default: {USUAL_PLACE})")
    installing.add_argument("--revision", help="a branch or tag of the repository")
    options = parser.parse_args(arguments)
    try:
        if options.command == "frontend":
            tell_frontend(options.release)
            return 0
        install(options.source, options.revision, options.to.expanduser().absolute())
    except (NoTree, NoEnvironment, NoFrontend) as error:
        print(f"tools.comfyui: {error}", file=sys.stderr)
        return 1
    return 0


def install(source: str | None, revision: str | None, target: Path) -> None:
    """Raises `NoTree` or `NoEnvironment`."""
    print(provide_tree(source, revision, target))
    seconds = check_start(provide_environment(target), target)
    print(f"ComfyUI starts with this pack ({seconds:.0f} s): {target}")
    if find_comfyui() != target:
        print(f"tests look for it elsewhere: set COMFYUI_PATH={target}")
    if find_chromium() is None:
        print("tests of the frontend need a Chromium as well: install your system's, or set CHROMIUM_PATH")


def tell_frontend(release: str) -> None:
    """Raises `NoFrontend`."""
    folder = provide_frontend(release)
    print(f'COMFYUI_FLAGS="--cpu --front-end-root {folder}" python -m pytest tests/comfy')


def check_start(python: Path, tree: Path) -> float:
    """Seconds that a start with this pack and an end take. Raises `NoEnvironment` with the end of what ComfyUI said."""
    with tempfile.TemporaryDirectory() as folder:
        base = base_directory(Path(folder) / "base")
        command = [str(python), "main.py", "--cpu", "--disable-api-nodes", "--quick-test-for-ci"]
        command += ["--port", str(free_port()), "--base-directory", str(base), "--database-url", "sqlite:///:memory:"]
        started = time.monotonic()
        try:
            done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=START_LIMIT)
        except subprocess.TimeoutExpired:
            raise NoEnvironment(f"ComfyUI did not start within {START_LIMIT:.0f} s") from None
    said = done.stdout + done.stderr
    if done.returncode or "IMPORT FAILED" in said:
        raise NoEnvironment(f"ComfyUI does not start with this pack:\n{said[-3000:]}")
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
